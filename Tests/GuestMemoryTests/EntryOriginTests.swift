// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Testing

struct EntryOriginTests {
    @Test(arguments: Provenance.allCases, [0, 12, 16, 21, 30, 63] as [UInt64])
    func wordAndBack(provenance: Provenance, byteShift: UInt64) {
        let origin = EntryOrigin(provenance, byteShift: byteShift, eventSequence: 0x1234_5678_9abc)
        #expect(origin.word == 0x1234_5678_9abc_0000 | byteShift << 8 | provenance.rawValue)
        #expect(EntryOrigin(word: origin.word) == origin)
    }

    @Test(arguments: [0, 4, 0xff, 0x4001, 0xff02, UInt64.max] as [UInt64])
    func wordsThatNoAgentWrites(word: UInt64) {
        #expect(EntryOrigin(word: word) == nil)
    }
}
