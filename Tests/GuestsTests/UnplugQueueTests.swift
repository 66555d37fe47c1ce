// SPDX-License-Identifier: Apache-2.0

import RunRecord
import Testing

@testable import Guests

@Suite struct UnplugQueueTests {
    private static func request(_ number: UInt64) -> UnplugQueue.Request {
        .init(alias: "ua-dimm\(number)", range: number << 30..<(number + 1) << 30, blocks: [:])
    }

    /// Failures of the past are nobody's.
    @Test func aFailureBelongsToTheOldestRequest() {
        var queue = UnplugQueue()
        queue.append(Self.request(1), failureCount: 3)
        queue.append(Self.request(2), failureCount: 3)
        #expect(queue.settleOldest(failureCount: 3, isGone: false) == nil)
        var settled = queue.settleOldest(failureCount: 4, isGone: false)
        #expect(settled?.request.alias == "ua-dimm1")
        #expect(settled?.result == .refused)
        #expect(queue.settleOldest(failureCount: 4, isGone: false) == nil)
        settled = queue.settleOldest(failureCount: 4, isGone: true)
        #expect(settled?.request.alias == "ua-dimm2")
        #expect(settled?.result == .removed)
        #expect(queue.settleOldest(failureCount: 5, isGone: true) == nil)
    }

    /// It was drained by something else than the unplug that waits for it.
    @Test func aFailureIsNotLostBetweenTwoLooks() {
        var queue = UnplugQueue()
        queue.append(Self.request(1), failureCount: 0)
        #expect(queue.settleOldest(failureCount: 0, isGone: false) == nil)
        // The guest fails here, while a verification reads its events.
        queue.append(Self.request(2), failureCount: 1)
        #expect(queue.settleOldest(failureCount: 1, isGone: false)?.request.alias == "ua-dimm1")
        #expect(queue.settleOldest(failureCount: 1, isGone: false) == nil)
        #expect(queue.requests.map(\.alias) == ["ua-dimm2"])
    }

    @Test func theMachinesWordSettlesToo() {
        var queue = UnplugQueue()
        queue.append(Self.request(1), failureCount: 0)
        #expect(queue.refuse("ua-dimm2") == nil)
        #expect(queue.refuse("ua-dimm1") == Self.request(1))
        #expect(queue.requests.isEmpty)
    }
}
