// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory

/// Mirrors made-up blocks in memory of its own, and tells what came of it.
///
/// The guest build runs it when it is not PID 1, the host build in a test: the same words have to come out, whatever
/// compiler and architecture made the program.
public enum SelfTest {
    private static let regionByteCount: UInt64 = 2 << 20
    private static let pageByteCount: UInt64 = 65536
    /// More than one node page's worth.
    private static let blockCount: UInt64 = 3000

    /// A line with the list's head, its length, the events' number, and a checksum of every byte of the region, which is
    /// little-endian on every machine; then a line for each of some records of the kernel's log.
    public static func run() -> [UInt8] {
        // SAFETY: the memory is zeroed and aligned to words, and its owner gives it back.
        let base = UnsafeMutableRawPointer.allocate(byteCount: Int(regionByteCount), alignment: 8)
        unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: Int(regionByteCount))
        let words = MappedWords(
            unsafe Mapping(unsafeBase: base, byteCount: regionByteCount) { unsafe $0.deallocate() })
        guard let layout = layout(),
            var line = outcome(SharedRegion(words: words, layout: layout, order: .little))
        else { return bytes("self-test failed\n") }
        // FNV-1a.
        var checksum: UInt64 = 0xcbf2_9ce4_8422_2325
        for offset in stride(from: 0, to: regionByteCount, by: 8) {
            // As the bytes stand in memory, whatever the machine's byte order is.
            guard let stored = try? words.load(at: offset) else { return bytes("self-test failed\n") }
            let word = ByteOrder.little.value(ofStored: stored)
            for index: UInt64 in 0..<8 {
                checksum = (checksum ^ (word >> (index * 8) & 0xff)) &* 0x100_0000_01b3
            }
        }
        line.append(hex: checksum)
        line.append(0x0a)
        for record in records {
            line += outcome(KernelRecord(parsing: bytes(record)))
            line.append(0x0a)
        }
        return line
    }

    /// Records of /dev/kmsg, one of each meaning: their payloads have all the sizes there are.
    private static var records: [StaticString] {
        [
            "7,5,6,-,caller=T1;vmemmap_populate c00c000000100000..c00c000000104000, node -1",
            "7,5,6,-;      * c00c000000100000..c00c000000110000 allocated at c000000002480000",
            "7,5,6,-;vmemmap_populate: Unable to create vmemmap mapping: -14",
            "7,5,6,-;vmemmap_free c00c000000100000...c00c000000104000",
            "6,5,6,-;pseries-hotplug-mem: Memory at 40000000 (drc index 80000004) was hot-added",
            "6,5,6,-;pseries-hotplug-mem: Memory at 40000000 (drc index 80000004) was hot-removed",
            "6,5,6,-;pseries-hotplug-mem: Memory indexed-count-add failed, removing any added LMBs",
            "6,5,6,-;pseries-hotplug-mem: Memory indexed-count-remove failed, adding any removed LMBs",
            "15,5,6,-;qemu-harness sync 18446744073709551615", "6,5,6,-;anything else", "no record",
        ]
    }

    private static func outcome(_ record: KernelRecord?) -> [UInt8] {
        guard let record else { return bytes("none") }
        var line: [UInt8] = []
        let (name, numbers): (StaticString, [UInt64]) =
            switch record.message {
            case .populate(let start, let end, let node): ("populate", [start, end, node])
            case .block(let start, let end, let pointer): ("block", [start, end, pointer])
            case .mappingFailed(let errno): ("mapping-failed", [errno])
            case .free(let start, let end): ("free", [start, end])
            case .lmbAdded(let base, let drcIndex): ("lmb-added", [base, drcIndex])
            case .lmbRemoved(let base): ("lmb-removed", [base])
            case .hotplugFailed(let failure): ("hotplug-failed", [failure.rawValue])
            case .marker(let marker): ("marker", [marker])
            case .other: ("other", [])
            }
        line.append(text: name)
        for number in [record.sequence, record.microseconds] + numbers {
            line.append(0x20)
            line.append(hex: number)
        }
        return line
    }

    private static func layout() -> SharedRegionLayout? {
        do throws(SharedRegionLayout.Problem) {
            return try SharedRegionLayout(regionByteCount: regionByteCount, pageByteCount: pageByteCount)
        } catch {
            return nil
        }
    }

    private static func outcome(_ region: SharedRegion) -> [UInt8]? {
        do throws(MemoryAccessError) {
            try region.initialize(release: bytes("self-test"))
            var mirror = Mirror(region: region)
            for index in 0..<blockCount {
                try mirror.observe(
                    virtAddr: 0xc00c_0000_0000_0000 + index << 16, byteCount: 65536, phys: index << 20,
                    microseconds: index)
            }
            var line: [UInt8] = []
            for field in [SharedRegionLayout.Field.head, .liveCount, .eventCount] {
                line.append(hex: try region.header(field))
                line.append(0x20)
            }
            return line
        } catch {
            return nil
        }
    }
}
