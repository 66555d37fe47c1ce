// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import TestSupport
import Testing
import VmemmapPopulate

/// Random plugs, unplugs and faults against what memory is valid: whatever happened, the books fit it.
struct EmulatorPropertyTests {
    private static let block = LMB.byteCount

    /// The windows that describe valid memory, worked out section by section.
    private static func expectedWindows(_ valid: Set<UInt64>, _ layout: EmulatedLayout) -> Set<UInt64> {
        var windows: Set<UInt64> = []
        for section in valid {
            let start = section * EmulatedLayout.sectionByteCount
            windows.formUnion(layout.geometry.windows(describing: start..<start + EmulatedLayout.sectionByteCount))
        }
        return windows
    }

    private static func violation(
        _ layout: EmulatedLayout, steps: [(isPlug: Bool, block: UInt64)], failingRequest: UInt64?
    ) throws(HotplugError) -> String? {
        var emulator = try VmemmapEmulator(
            layout: layout, bootMemory: [0..<4 * block], failingRequest: failingRequest)
        let perBlock = block / EmulatedLayout.sectionByteCount
        var valid = Set(0..<4 * perBlock)
        for (number, step) in steps.enumerated() {
            let range = (4 + step.block) * block..<(5 + step.block) * block
            let before = emulator.list.store.validByteCount
            var hasFailed = false
            do throws(HotplugError) {
                if step.isPlug { try emulator.plug(range) } else { try emulator.unplug(range) }
            } catch {
                hasFailed = true
            }
            let first = (4 + step.block) * perBlock
            if !hasFailed {
                if step.isPlug {
                    valid.formUnion(first..<first + perBlock)
                } else {
                    valid.subtract(first..<first + perBlock)
                }
            } else {
                // The sections before the failed one stay.
                let added = (emulator.list.store.validByteCount - before) / EmulatedLayout.sectionByteCount
                valid.formUnion(first..<first + added)
            }
            let expected = expectedWindows(valid, layout)
            let walk = ListWalk(
                head: emulator.list.state.head, in: emulator.list.store, pageByteCount: layout.geometry.pageByteCount,
                limit: 1 << 16)
            let list = walk.entries.map(\.virtAddr)
            guard walk.end == .terminated, list.count == expected.count, Set(list) == expected else {
                return "step \(number + 1): \(list.count) entries for \(expected.count) windows"
            }
            guard emulator.list.store.backingByteCount == UInt64(list.count) << layout.geometry.vmemmapPageShift else {
                return "step \(number + 1): blocks are lost"
            }
        }
        return nil
    }

    struct Kernel: Sendable {
        let rules: PopulateRules
        let page: UInt64
        let vmemmapPage: UInt64
    }

    @Test(arguments: [
        Kernel(rules: .hash, page: 65536, vmemmapPage: 65536),
        Kernel(rules: .hash, page: 65536, vmemmapPage: 16 << 20),
        Kernel(rules: .radixList, page: 65536, vmemmapPage: 2 << 20),
        Kernel(rules: .radixList, page: 4096, vmemmapPage: 2 << 20),
    ])
    func theListFitsValidMemory(kernel: Kernel) throws {
        let layout = try EmulatedLayout(
            rules: kernel.rules, pageByteCount: kernel.page, vmemmapPageByteCount: kernel.vmemmapPage)
        let boot = try VmemmapEmulator(layout: layout, bootMemory: [0..<4 * Self.block]).list.store.requestCount
        for seed: UInt64 in 0..<150 {
            var random = SeededGenerator(seed: seed)
            var steps = (0..<10).map { _ in (isPlug: random.next() % 3 > 0, block: random.next() % 12) }
            let fault = seed % 3 == 0 ? nil : boot + 1 + random.next() % 40
            guard try Self.violation(layout, steps: steps, failingRequest: fault) != nil else { continue }
            var index = 0
            while index < steps.count {
                var shorter = steps
                shorter.remove(at: index)
                if try Self.violation(layout, steps: shorter, failingRequest: fault) != nil {
                    steps = shorter
                    index = 0
                } else {
                    index += 1
                }
            }
            let text = try Self.violation(layout, steps: steps, failingRequest: fault) ?? ""
            Issue.record("seed \(seed), failing request \(fault ?? 0), \(steps): \(text)")
            return
        }
    }
}
