// SPDX-License-Identifier: Apache-2.0

package import GuestMemory

/// Word memory of which only single words are mapped.
package struct SparseWords: WordMemory {
    package var content: [UInt64: UInt64]

    package init(_ content: [UInt64: UInt64] = [:]) {
        self.content = content
    }

    package func word(at address: UInt64) throws(MemoryAccessError) -> UInt64 {
        guard address % 8 == 0 else { throw .misaligned(address) }
        guard let word = content[address] else { throw .unmapped(address) }
        return word
    }
}
