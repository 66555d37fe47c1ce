// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import TestSupport
import Testing
import Verification

@testable import Guests

private let gibibyte: UInt64 = 1 << 30
private let vmemmap: UInt64 = 0xc00c_0000_0000_0000
/// 64 KiB pages, 64 bytes for each: 16 KiB describe a section of 16 MiB.
private let mapByteCount: UInt64 = 16 << 10

@Suite struct HistoryKeeperTests {
    private static let boot = [MemoryRange(name: "boot", base: 0, byteCount: gibibyte)]

    private static func keeper(source: EventSource = .dynamicDebug) throws -> HistoryKeeper {
        let hello = try Hello(
            ControlLine.hello.without("source").without("tried").with("source", source.rawValue)
                .with("tried", text: SourceTrial.encode([SourceTrial(source)])))
        return HistoryKeeper(bootMemory: boot, layout: try KernelLayout(SampleVmcoreinfo().parsed), hello: hello)
    }

    private static func map(of section: UInt64) -> Range<UInt64> {
        vmemmap + section * mapByteCount..<vmemmap + (section + 1) * mapByteCount
    }

    @Test func callsBecomeSections() throws {
        var keeper = try Self.keeper()
        for section in 64..<128 as Range<UInt64> {
            let map = Self.map(of: section)
            keeper.take(.populateCalled(start: map.lowerBound, end: map.upperBound, node: 0))
        }
        // As 6.1 prints it: the start is that of the vmemmap page.
        let last = Self.map(of: 67)
        keeper.take(.freeCalled(start: last.upperBound - 65536, end: last.upperBound))
        // The log says it again, LMB by LMB.
        keeper.take(.lmbAdded(base: gibibyte, drcIndex: 0x8000_0004))
        keeper.take(.lmbRemoved(base: gibibyte))
        keeper.take(.hotplugFailed(.remove))
        #expect(keeper.history.bootMemory == Self.boot)
        let steps: [HotplugHistory.Step] = [
            .init(change: .added, base: gibibyte, byteCount: gibibyte),
            .init(change: .removed, base: 67 << 24, byteCount: 16 << 20),
        ]
        #expect(keeper.history.steps == steps)
        #expect(keeper.history.gap == nil)
    }

    /// A guest can say any number: then the model cannot say anything, and nothing else is lost.
    @Test(arguments: [.max, .max - 255 << 20, LinearMap.byteCount] as [UInt64])
    func memoryThatCannotBeIsAGap(base: UInt64) throws {
        var keeper = try Self.keeper(source: .snapshots)
        keeper.take(.lmbAdded(base: base, drcIndex: 0))
        keeper.take(.lmbRemoved(base: base))
        #expect(keeper.history.steps == [])
        #expect(keeper.history.gap?.isEmpty == false)
        keeper = try Self.keeper()
        keeper.take(.populateCalled(start: vmemmap + 1 << 52, end: vmemmap + 1 << 52 + mapByteCount, node: 0))
        #expect(keeper.history.steps == [])
        #expect(keeper.history.gap?.isEmpty == false)
    }

    @Test func stepsHaveALimit() throws {
        var keeper = try Self.keeper(source: .snapshots)
        for _ in 0..<1 << 13 {
            keeper.take(.lmbAdded(base: gibibyte, drcIndex: 0x8000_0004))
            keeper.take(.lmbRemoved(base: gibibyte))
        }
        #expect(keeper.history.gap == nil)
        keeper.take(.lmbAdded(base: gibibyte, drcIndex: 0x8000_0004))
        #expect(keeper.history.steps.count == 1 << 14)
        #expect(keeper.history.gap == "the guest tells of more than 16384 plugs and unplugs")
    }

    @Test func withoutCallsTheLogSaysIt() throws {
        var keeper = try Self.keeper(source: .snapshots)
        for index in 0..<4 as Range<UInt64> {
            keeper.take(.lmbAdded(base: gibibyte + index * 256 << 20, drcIndex: 0x8000_0004 + index))
        }
        keeper.take(.lmbRemoved(base: gibibyte + 256 << 20))
        let steps: [HotplugHistory.Step] = [
            .init(change: .added, base: gibibyte, byteCount: gibibyte),
            .init(change: .removed, base: gibibyte + 256 << 20, byteCount: 256 << 20),
        ]
        #expect(keeper.history.steps == steps)
        #expect(keeper.history.gap == nil)
        keeper.take(.hotplugFailed(.add))
        #expect(keeper.history.gap?.contains("hot-plug failed") == true)
    }

    @Test(
        arguments: [
            (.lost(recordCount: 3), "lost 3 events"), (.mappingFailed(errno: 12), "error 12, and nothing tells which"),
            (.populateFailed(errno: 12), "error 12, and nothing tells which"),
            (.populateCalled(start: 8, end: 16, node: 0), "0x8 to 0x10"),
            (.populateCalled(start: vmemmap + mapByteCount, end: vmemmap, node: 0), "is not valid"),
            (.freeCalled(start: .max, end: .max), "is not valid"),
        ] as [(AgentEvent, String)])
    func gaps(event: AgentEvent, reason: String) throws {
        var keeper = try Self.keeper()
        keeper.take(event)
        let gap = try #require(keeper.history.gap)
        #expect(gap.contains(reason), "\(gap)")
        #expect(keeper.history.steps.isEmpty)
    }

    /// Sections 64 and 65 of a block come, 66 fails with a block on the list and is undone, and the kernel takes back what
    /// it had added of the blocks before. Not every source says that it failed.
    @Test(
        arguments: [
            (.kprobes, [.populateFailed(errno: 12)]), (.dynamicDebug, [.mappingFailed(errno: 14)]), (.dynamicDebug, []),
            (.kprobes, [.mappingFailed(errno: 14), .populateFailed(errno: 14)]),
        ] as [(EventSource, [AgentEvent])])
    func aPopulateThatFailsIsKnown(source: EventSource, failure: [AgentEvent]) throws {
        var keeper = try Self.keeper(source: source)
        for section in 64..<67 as Range<UInt64> {
            let map = Self.map(of: section)
            keeper.take(.populateCalled(start: map.lowerBound, end: map.upperBound, node: 0))
            if section != 65 {
                keeper.take(.blockMirrored(virtAddr: map.lowerBound, byteCount: 4096, phys: 0, mirrorNode: 0))
            }
        }
        for event in failure { keeper.take(event) }
        #expect((keeper.history.gap == nil) == failure.isEmpty)
        let failed = Self.map(of: 66)
        keeper.take(.freeCalled(start: failed.lowerBound, end: failed.upperBound))
        keeper.take(.blockFreed(virtAddr: failed.lowerBound, phys: 0))
        keeper.take(.hotplugFailed(.add))
        let first = Self.map(of: 64)
        keeper.take(.freeCalled(start: first.lowerBound, end: first.upperBound))
        let steps: [HotplugHistory.Step] = [
            .init(change: .added, base: gibibyte, byteCount: 32 << 20),
            .init(change: .failed, base: 66 << 24, byteCount: 16 << 20, linkedCount: 1),
            .init(change: .removed, base: gibibyte, byteCount: 16 << 20),
        ]
        #expect(keeper.history.steps == steps)
        #expect(keeper.history.gap == nil)
    }

    /// Another call comes before anything is undone, or another section is freed.
    @Test(
        arguments: [
            .populateCalled(start: vmemmap, end: vmemmap + mapByteCount, node: 0),
            .freeCalled(start: vmemmap, end: vmemmap + mapByteCount),
        ] as [AgentEvent])
    func aFailureThatIsNotUndoneIsAGap(next: AgentEvent) throws {
        var keeper = try Self.keeper()
        let map = Self.map(of: 64)
        keeper.take(.populateCalled(start: map.lowerBound, end: map.upperBound, node: 0))
        keeper.take(.populateFailed(errno: 12))
        keeper.take(next)
        keeper.take(.freeCalled(start: map.lowerBound, end: map.upperBound))
        #expect(keeper.history.gap == "a populate failed with error 12, and nothing was seen to undo it")
    }

    @Test func whatTheRingLostIsAGap() throws {
        var keeper = try Self.keeper()
        keeper.takeMissed(count: 0)
        #expect(keeper.history.gap == nil)
        keeper.takeMissed(count: 2)
        #expect(keeper.history.gap?.hasPrefix("2 events") == true)
    }
}
