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
    private let region: MappedFile
    private var former: [(place: Place, stored: UInt64)] = []

    /// Maps the files once more.
    package init(_ memory: GuestRAM, region: FilePath, regionByteCount: UInt64) throws {
        ram = GuestRAM(
            try memory.regions.map { piece in
                GuestRAM.Region(
                    name: piece.name, base: piece.base,
                    file: try MappedFile(piece.file.path, byteCount: piece.file.words.byteCount, isWritable: true))
            })
        self.region = try MappedFile(region, byteCount: regionByteCount, isWritable: true)
    }

    /// The word that is stored there, as its bytes are.
    func stored(at place: Place) throws -> UInt64 {
        switch place {
        case .ram(let address): try ram.storedWord(at: PhysicalAddress(address))
        case .region(let offset): try region.words.load(at: offset)
        }
    }

    /// Stores a word, and remembers the one that stood there.
    func store(_ word: UInt64, at place: Place) throws {
        former.append((place, try stored(at: place)))
        try put(word, at: place)
    }

    /// Puts every word back, the newest first.
    func undo() throws {
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
        case .region(let offset): try region.words.store(word, at: offset)
        }
    }
}
