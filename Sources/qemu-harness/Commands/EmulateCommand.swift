// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import HarnessBasics
import Plans
import RunRecord
import Verification
import VmemmapPopulate

/// `emulate`: the kernel's bookkeeping for a memory of any size, without a guest.
struct EmulateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "emulate",
        abstract: "Compute the vmemmap_list that a kernel keeps for a given memory, without a guest.",
        discussion: """
            Memory starts at 0. Every --plug comes first, in order; then every --unplug. A plug without an address goes \
            behind all other memory, at a multiple of 1GiB, as QEMU places it.
            """
    )

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
            "How the kernel keeps book: 2010 (never frees), hash (today's), radix-list (before 6.6), radix-tables "
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
    var progress: Progress.Style = .auto

    func run() throws {
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
        let progress = MemoryProgress(style: progress, total: memory.value)
        var failures: [String] = []
        var emulator = try Self.refusing { () throws(HotplugError) -> VmemmapEmulator in
            try VmemmapEmulator(
                layout: layout, bootMemory: [boot], failingRequest: failAt, progress: { progress.report($0) })
        }
        progress.end()
        if let failure = emulator.bootFailure { failures.append("boot: \(Self.reason(failure))") }

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
            case .populate(let failure): return reason(failure)
            case .busy: return "it holds the kernel's own data"
            default: throw HarnessError.usage(reason(error))
            }
        }
    }

    private static func refusing(_ body: () throws(HotplugError) -> VmemmapEmulator) throws -> VmemmapEmulator {
        do throws(HotplugError) {
            return try body()
        } catch {
            throw HarnessError.usage(reason(error))
        }
    }

    private static func reason(_ error: PopulateError) -> String {
        switch error {
        case .outOfMemory: "no memory for the memory map (-ENOMEM)"
        case .mappingFailed(let virtAddr): "unable to create a vmemmap mapping at 0x\(String(virtAddr, radix: 16))"
        case .badRange, .storage: "\(error)"
        }
    }

    private static func reason(_ error: HotplugError) -> String {
        func text(_ range: Range<UInt64>) -> String {
            "memory [0x\(String(range.lowerBound, radix: 16)), 0x\(String(range.upperBound, radix: 16)))"
        }
        return switch error {
        case .unaligned(let range, let unit):
            "\(text(range)) is not made of whole \(unit == EmulatedLayout.sectionByteCount ? "sections" : "memory blocks")"
                + " of \(ByteCount(unit).text)"
        case .outOfReach(let range, let end):
            "\(text(range)) does not fit: this kernel's memory ends at \(ByteCount(end).text)"
                + (end == 61 << 40
                    ? ", since with 4 KiB pages on the hash MMU vmalloc begins at 61 TiB of a region of 64 TiB" : "")
        case .overlaps(let range): "\(text(range)) overlaps memory that is there"
        case .notPresent(let range): "\(text(range)) is not there"
        case .busy(let range): "\(text(range)) holds the kernel's own data"
        case .tooSmallForVmemmapPages: "a kernel takes 16 MiB vmemmap pages only with 1 GiB of memory at boot, or more"
        case .populate(let failure): reason(failure)
        }
    }
}

/// A plug as it is written on a command line: `1GiB`, or `1GiB@0x80000000` or `1GiB@4GiB`.
struct PlugRequest: Equatable, ExpressibleByArgument {
    let byteCount: UInt64
    let address: UInt64?

    init?(argument: String) {
        let parts = argument.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count <= 2, let size = ByteCount(argument: String(parts[0])) else { return nil }
        byteCount = size.value
        guard parts.count == 2 else {
            address = nil
            return
        }
        let text = String(parts[1])
        let number =
            text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : ByteCount(argument: text).map(\.value)
        guard let number else { return nil }
        address = number
    }

    var defaultValueDescription: String {
        ByteCount(byteCount).text + (address.map { " at 0x\(String($0, radix: 16))" } ?? "")
    }
}
