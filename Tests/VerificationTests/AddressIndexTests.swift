// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Verification

/// An index says what a dictionary says, whatever the order of the addresses and of the questions.
@Suite struct AddressIndexTests {
    @Test(
        arguments: [
            [], [7], [1, 2, 5, 9], [9, 5, 2, 1], [3, 3], [5, 1, 9, 1, 5, 5], [0, .max, 0], [.max, 1, 0],
            (0..<200).map { $0 &* 0x9e37_79b1 % 97 },
        ] as [[UInt64]])
    func saysWhereEachStands(addresses: [UInt64]) {
        let positions = Dictionary(grouping: addresses.indices) { addresses[$0] }
        let index = AddressIndex(addresses)
        #expect(index.isDistinct == (positions.count == addresses.count))
        #expect(index.distinct == positions.keys.sorted())
        let near = Set(addresses + addresses.flatMap { [$0 &- 1, $0 &+ 1] } + [0, .max]).sorted()
        for questions in [near, near.reversed(), near.shuffled(), near + near.reversed()] {
            var index = index
            for question in questions {
                #expect(index.firstPosition(of: question) == positions[question]?.first)
                #expect(index.positions(of: question) == positions[question] ?? [])
                #expect(index.contains(question) == (positions[question] != nil))
            }
            #expect(index.missing(of: questions) == questions.filter { positions[$0] == nil })
        }
        var asked = index
        for (position, address) in addresses.enumerated() {
            #expect(asked.isFirst(position, of: address) == (positions[address]?.first == position))
        }
    }
}
