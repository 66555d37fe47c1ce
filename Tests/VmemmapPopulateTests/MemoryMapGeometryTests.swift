// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Testing
import VmemmapPopulate

struct MemoryMapGeometryTests {
    struct Rules: Sendable {
        let page: UInt64
        let shift: UInt64
        let described: UInt64
    }

    static let rules = [
        Rules(page: 65536, shift: 16, described: 64 << 20),
        Rules(page: 65536, shift: 21, described: 2 << 30),
        Rules(page: 65536, shift: 24, described: 16 << 30),
        Rules(page: 65536, shift: 12, described: 4 << 20),
        Rules(page: 4096, shift: 12, described: 256 << 10),
        Rules(page: 4096, shift: 21, described: 128 << 20),
        Rules(page: 4096, shift: 24, described: 1 << 30),
    ]

    private static let base: UInt64 = 0xc00c_0000_0000_0000

    private func geometry(_ rules: Rules) -> MemoryMapGeometry {
        MemoryMapGeometry(
            vmemmapBase: Self.base, vmemmapPageShift: rules.shift, pageByteCount: rules.page, structPageByteCount: 64)
    }

    @Test(arguments: rules)
    func describedMemory(rules: Rules) {
        #expect(geometry(rules).describedByteCount == rules.described)
        #expect(geometry(rules).vmemmapPageByteCount == 1 << rules.shift)
    }

    @Test(arguments: rules)
    func roundTrips(rules: Rules) {
        let geometry = geometry(rules)
        for address: UInt64 in [0, 1 << 30, 1 << 30 + 64 << 20, 3 << 32, 1 << 46] {
            let virtAddr = geometry.virtAddr(describing: PhysicalAddress(address))
            #expect(geometry.address(describedAt: virtAddr) == PhysicalAddress(address))
            // Every byte of the `struct page` and every byte of the page belong together.
            #expect(geometry.address(describedAt: virtAddr + 63) == PhysicalAddress(address))
            #expect(geometry.address(describedAt: virtAddr + 64) == PhysicalAddress(address + rules.page))
            #expect(geometry.virtAddr(describing: PhysicalAddress(address + rules.page - 1)) == virtAddr)
        }
        #expect(geometry.virtAddr(describing: PhysicalAddress(0)) == Self.base)
    }

    @Test func addressesThatDescribeNothing() {
        let geometry = geometry(Self.rules[0])
        #expect(geometry.address(describedAt: Self.base - 1) == nil)
        #expect(geometry.address(describedAt: 0) == nil)
        #expect(geometry.address(describedAt: .max) == nil)
    }

    @Test(arguments: rules)
    func windowsOfAGibibyte(rules: Rules) {
        let windows = Array(geometry(rules).windows(describing: 1 << 30..<2 << 30))
        #expect(windows.count == max(1, Int((1 << 30) / rules.described)))
        #expect(windows.allSatisfy { $0 % (1 << rules.shift) == 0 })
        #expect(zip(windows, windows.dropFirst()).allSatisfy { $1 - $0 == 1 << rules.shift })
        let first = geometry(rules).virtAddr(describing: PhysicalAddress(1 << 30))
        #expect(windows.first == first.alignedDown(to: 1 << rules.shift))
    }

    /// Whatever base a damaged kernel has, its windows can be asked for.
    @Test func windowsOfAMapThatWraps() {
        for base: UInt64 in [.max, .max - 65535, 0 &- (1 << 17)] {
            let geometry = MemoryMapGeometry(
                vmemmapBase: base, vmemmapPageShift: 16, pageByteCount: 65536, structPageByteCount: 64)
            let windows = Array(geometry.windows(describing: 0..<256 << 20))
            #expect(windows.first == base.alignedDown(to: 65536))
            #expect(windows.contains(0))
            #expect(zip(windows, windows.dropFirst()).allSatisfy { $1 == $0 &+ 65536 })
        }
    }

    @Test func windowsAtTheEdges() {
        let geometry = geometry(Self.rules[0])
        #expect(Array(geometry.windows(describing: 0..<1)) == [Self.base])
        #expect(Array(geometry.windows(describing: 0..<64 << 20)) == [Self.base])
        #expect(Array(geometry.windows(describing: 0..<64 << 20 + 1)) == [Self.base, Self.base + 65536])
        #expect(Array(geometry.windows(describing: 64 << 20 - 1..<64 << 20 + 1)) == [Self.base, Self.base + 65536])
    }
}
