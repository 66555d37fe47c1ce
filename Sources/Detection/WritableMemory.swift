// SPDX-License-Identifier: Apache-2.0

import GuestMemory
package import MemoryBackends
package import SystemPackage

/// What a guest has in files, mapped to be written: its RAM and the shared region. What is stored can be put back.
package final class WritableMemory {
    /// A word's place.
    package enum Place: Hashable, Sendable {
        /// A guest physical address.
        case ram(UInt64)
        /// An offset in the shared region.
        case region(UInt64)
    }

    private let ram: GuestRAM
    private let region: MappedFile?
    private var former: [(place: Place, stored: UInt64)] = []

    /// Maps the files once more; the shared region's where it is named.
    package init(_ memory: GuestRAM, region: (file: FilePath, byteCount: UInt64)? = nil) throws {
        ram = GuestRAM(
            try memory.regions.map { piece in
                GuestRAM.Region(
                    name: piece.name, base: piece.base,
                    file: try MappedFile(piece.file.path, byteCount: piece.file.words.byteCount, isWritable: true))
            })
        self.region = try region.map { try MappedFile($0.file, byteCount: $0.byteCount, isWritable: true) }
    }

    /// The word that is stored there, as its bytes are.
    package func stored(at place: Place) throws -> UInt64 {
        switch place {
        case .ram(let address): try ram.storedWord(at: PhysicalAddress(address))
        case .region(let offset): try regionWords(offset).load(at: offset)
        }
    }

    /// Stores a word, and remembers the one that stood there.
    package func store(_ word: UInt64, at place: Place) throws {
        former.append((place, try stored(at: place)))
        try put(word, at: place)
    }

    /// Puts every word back, the newest first.
    package func undo() throws {
        while let word = former.last {
            try put(word.stored, at: word.place)
            former.removeLast()
        }
    }

    private func put(_ word: UInt64, at place: Place) throws {
        switch place {
        case .ram(let address):
            guard let piece = ram.regions.first(where: { $0.range.contains(address) }) else {
                throw MemoryAccessError.unmapped(address)
            }
            try piece.file.words.store(word, at: address - piece.base.rawValue)
        case .region(let offset): try regionWords(offset).store(word, at: offset)
        }
    }

    private func regionWords(_ offset: UInt64) throws -> MappedWords {
        guard let region else { throw MemoryAccessError.unmapped(offset) }
        return region.words
    }
}
