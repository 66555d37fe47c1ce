// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import TestSupport
import Testing

struct AgentEventTests {
    static let events: [AgentEvent] = [
        .populateCalled(start: 0xc00c_0000_0010_0000, end: 0xc00c_0000_0010_4000, node: .max),
        .blockMirrored(
            virtAddr: 0xc00c_0000_0010_0000, byteCount: 65536, phys: 0x248_0000, mirrorNode: 0x2d_0018),
        .mappingFailed(errno: 2),
        .freeCalled(start: 1, end: 2),
        .lmbAdded(base: 0x4000_0000, drcIndex: 0x8000_0004),
        .lmbRemoved(base: 0x4000_0000),
        .hotplugFailed(.add),
        .hotplugFailed(.remove),
        .lost(recordCount: 17),
        .healed(entryCount: 4),
        .mirrorFull(virtAddr: 3, phys: 4),
        .synced(marker: 5),
        .blockFreed(virtAddr: 6, phys: 7),
        .blockUnused(phys: 8),
        .populateFailed(errno: 12),
        .kernelFault(.panic, count: 1),
        .faultText(1, 2, 3, .max),
        .logBeginningLost(recordCount: 9),
    ]

    @Test(arguments: events, [ByteOrder.little, .big])
    func roundTripThroughTheRing(event: AgentEvent, order: ByteOrder) throws {
        try withRegion(order: order) { region, _ in
            let ring = EventRing(region)
            let (kind, operands) = event.encoded
            try ring.publish(RingRecord(sequence: 1, kind: kind, microseconds: 9, operands: operands))
            guard case .record(let record) = try ring.read(1) else {
                Issue.record("no record")
                return
            }
            #expect(record.microseconds == 9)
            #expect(AgentEvent(record) == event)
        }
    }

    /// The numbers are part of the format.
    @Test func kinds() {
        #expect(Self.events.map(\.encoded.kind) == [1, 2, 3, 4, 5, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17])
    }

    @Test(arguments: [0, 18, 255, .max] as [UInt64])
    func unknownKinds(kind: UInt64) {
        #expect(AgentEvent(RingRecord(sequence: 1, kind: kind, microseconds: 0, operands: [1, 1, 1, 1])) == nil)
    }

    @Test(arguments: [0, 3, .max] as [UInt64])
    func unknownFailures(failure: UInt64) {
        #expect(AgentEvent(RingRecord(sequence: 1, kind: 7, microseconds: 0, operands: [failure, 0, 0, 0])) == nil)
    }

    @Test(arguments: [0, 10, .max] as [UInt64])
    func unknownFaults(fault: UInt64) {
        #expect(AgentEvent(RingRecord(sequence: 1, kind: 15, microseconds: 0, operands: [fault, 1, 0, 0])) == nil)
    }

    /// A line comes through whole, whatever its length, in as few events as it takes.
    @Test(arguments: [0, 1, 7, 8, 30, 31, 32, 33, 63, 64, 191]) func texts(byteCount: Int) {
        let line = (0..<byteCount).map { UInt8($0 % 94 + 0x21) }
        let events = AgentEvent.texts(of: line)
        #expect(events.count == byteCount / 32 + 1)
        #expect(events.flatMap(\.text) == line + [0x0a])
        #expect(events.dropLast().allSatisfy { $0.text.count == 32 })
    }

    @Test func textsAreTheSameInEitherByteOrder() {
        #expect(AgentEvent.texts(of: Array("BUG: it".utf8)) == [.faultText(0x4255_473a_2069_740a, 0, 0, 0)])
        #expect(AgentEvent.lost(recordCount: 1).text.isEmpty)
    }
}
