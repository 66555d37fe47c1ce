// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser
import Foundation
import HarnessBasics
import RunRecord
import Verification
import VmemmapPopulate

/// `emulate`: the kernel's bookkeeping for a memory of any size, without a guest.
package struct EmulateCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "emulate",
        abstract: "Compute the vmemmap_list that a kernel keeps for a given memory, without a guest.",
        discussion: """
            Memory starts at 0. Every --plug comes first, in order; then every --unplug. A plug without an address goes \
            behind all other memory, at a multiple of 1GiB, as QEMU places it.
            """
    )

    /// A command that is not parsed yet.
    package init() {}

    enum MMU: String, CaseIterable, ExpressibleByArgument {
        case hash, radix
    }

    enum Rules: String, CaseIterable, ExpressibleByArgument {
        case original = "2010"
        case hash
        case radixList = "radix-list"
        case radixTables = "radix-tables"

        var value: PopulateRules {
            switch self {
            case .original: .original
            case .hash: .hash
            case .radixList: .radixList
            case .radixTables: .radixTables
            }
        }

        var mmu: MMU { self == .original || self == .hash ? .hash : .radix }
    }

    @Option(help: ArgumentHelp("Memory at boot.", valueName: "size"))
    var memory = ByteCount(1 << 30)

    @Option(help: ArgumentHelp("The kernel's page size, 4KiB or 64KiB.", valueName: "size"))
    var pageSize = ByteCount(64 << 10)

    @Option(help: "MMU mode.")
    var mmu: MMU = .hash

    @Option(
        help: ArgumentHelp(
            "The kernel's vmemmap page size (mmu_vmemmap_psize). (default: the base page on hash, 2MiB on radix)",
            valueName: "size"))
    var psize: ByteCount?

    @Option(
        help: ArgumentHelp(
            "The rules by which the kernel records what backs its memory map: 2010 (never frees), hash (today's), radix-list (before 6.6), radix-tables "
                + "(no list). (default: hash or radix-tables, by the MMU)"))
    var rules: Rules?

    @Option(
        help: ArgumentHelp(
            "Memory to plug, in whole blocks of 256MiB; repeat for more.", valueName: "size[@address]"))
    var plug: [PlugRequest] = []

    @Option(help: ArgumentHelp("Unplug what the plug of this number plugged, counted from 1.", valueName: "number"))
    var unplug: [Int] = []

    @Option(
        help: ArgumentHelp(
            "Make the kernel's request of this number fail, counted from 1 over blocks, node pages, page tables and "
                + "mappings.", valueName: "number"))
    var failAt: UInt64?

    @Option(help: ArgumentHelp("Write a snapshot that 'verify' reads.", valueName: "file"))
    var write: String?

    @Flag(help: "Print JSON.")
    var json = false

    @Option(help: "Progress on stderr: auto, plain or none.")
    var progress: ProgressLine.Style = .auto

    /// Emulates, and prints what comes of it.
    package func run() throws {
        let (result, snapshot) = try emulate()
        if let snapshot, let write {
            do {
                try RegularFile.write(RunDirectory.json(snapshot), to: URL(filePath: write))
            } catch {
                throw HarnessError.usage("cannot write \(write): \(error.localizedDescription)")
            }
        }
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            print(String(decoding: try encoder.encode(result), as: UTF8.self))
        } else {
            print(result.text)
        }
    }

    /// Plays the whole history. Throws a usage error for what no kernel can have; what fails in the kernel is a result.
    func emulate() throws -> (result: Emulation, snapshot: Snapshot?) {
        let layout = try layout()
        let boot = 0..<memory.value
        let progress = EmulationProgress(style: progress, total: memory.value)
        var failures: [String] = []
        var emulator = try Self.refusing { () throws(HotplugError) -> VmemmapEmulator in
            try VmemmapEmulator(
                layout: layout, bootMemory: [boot], failingRequest: failAt, progress: { progress.report($0) })
        }
        progress.end()
        if let failure = emulator.bootFailure { failures.append("boot: \(failure.reason)") }

        let plugs = try ranges(behind: boot, end: layout.memoryEnd)
        var failedPlugs: Set<Int> = []
        for (number, range) in plugs.enumerated() {
            if let failure = try Self.failure({ () throws(HotplugError) in try emulator.plug(range) }) {
                failures.append("plug \(number + 1): \(failure)")
                failedPlugs.insert(number + 1)
            }
        }
        var unplugged: [Int] = []
        for number in unplug {
            guard number > 0, number <= plugs.count else {
                throw HarnessError.usage("--unplug \(number): there is no plug of this number")
            }
            guard !failedPlugs.contains(number) else {
                failures.append("unplug \(number): its plug failed")
                continue
            }
            let range = plugs[number - 1]
            if let failure = try Self.failure({ () throws(HotplugError) in try emulator.unplug(range) }) {
                failures.append("unplug \(number): \(failure)")
            } else {
                unplugged.append(number)
            }
        }
        let snapshot = try write.map { _ in
            try EmulatedSnapshot(
                boot: boot, plugs: plugs, failedPlugs: failedPlugs, unplugged: unplugged, failures: failures
            )
            .snapshot(of: emulator)
        }
        return (Emulation(emulator, failures: failures), snapshot)
    }

    private func layout() throws -> EmulatedLayout {
        let rules = rules ?? (mmu == .hash ? .hash : .radixTables)
        guard rules.mmu == mmu else {
            throw HarnessError.usage("--rules \(rules.rawValue) are those of the \(rules.mmu.rawValue) MMU")
        }
        do throws(EmulatedLayout.Impossible) {
            return try EmulatedLayout(
                rules: rules.value, pageByteCount: pageSize.value, vmemmapPageByteCount: psize?.value)
        } catch {
            switch error {
            case .pageSize(let size):
                throw HarnessError.usage("no such kernel has \(ByteCount(size).text) pages, only 4 KiB or 64 KiB")
            case .vmemmapPageSize(let size, let possible):
                let sizes = possible.sorted().map { ByteCount($0).text }.joined(separator: " or ")
                throw HarnessError.usage(
                    "no \(rules.mmu.rawValue) kernel with \(pageSize.text) pages has vmemmap pages of "
                        + "\(ByteCount(size).text); they are \(sizes)")
            }
        }
    }

    /// Where each plug goes.
    private func ranges(behind boot: Range<UInt64>, end: UInt64) throws -> [Range<UInt64>] {
        var behind = boot.upperBound
        return try plug.map { request in
            let gibibyte: UInt64 = 1 << 30
            let start = request.address ?? (behind + gibibyte - 1) / gibibyte * gibibyte
            guard start <= end, request.byteCount <= end - start else {
                throw HarnessError.usage(
                    "plug \(request.defaultValueDescription) does not fit below \(ByteCount(end).text), where this "
                        + "kernel's memory ends")
            }
            behind = max(behind, start + request.byteCount)
            return start..<start + request.byteCount
        }
    }

    /// What the user cannot ask for is refused; what fails in the kernel is returned.
    private static func failure(_ body: () throws(HotplugError) -> Void) throws -> String? {
        do throws(HotplugError) {
            try body()
            return nil
        } catch {
            switch error {
            case .populate(let failure): return failure.reason
            case .busy: return "it holds the kernel's own data"
            default: throw HarnessError.usage(error.reason)
            }
        }
    }

    private static func refusing(_ body: () throws(HotplugError) -> VmemmapEmulator) throws -> VmemmapEmulator {
        do throws(HotplugError) {
            return try body()
        } catch {
            throw HarnessError.usage(error.reason)
        }
    }
}
