// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import Testing

@testable import Guests

@Suite struct MemoryBlocksTests {
    /// A block that was offline is missed like any other until the kernel has put it back.
    @Test(
        arguments: [
            ([4: .online, 5: .online], true), ([4: .offline, 5: .online], true), ([5: .online], false),
            ([4: .online], false), ([4: .online, 5: .offline], false), ([4: .goingOffline, 5: .online], true),
            ([4: .online, 5: .online, 6: .online], true), ([:], false),
        ] as [([UInt64: MemoryBlock.State], Bool)])
    func comeBackAfterARefusal(now: [UInt64: MemoryBlock.State], areBack: Bool) {
        #expect(MemoryBlocks.isBack(now, since: [4: .offline, 5: .online]) == areBack)
    }

    @Test func nothingToComeBackIsThere() {
        #expect(MemoryBlocks.isBack([:], since: [:]))
    }
}
