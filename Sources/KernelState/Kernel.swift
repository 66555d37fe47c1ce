// SPDX-License-Identifier: Apache-2.0

public import GuestMemory

/// A kernel's VMCOREINFO note, wherever it was found.
public struct KernelNote: Sendable {
    /// What it says.
    public let info: Vmcoreinfo
    /// The byte order that it is written in, which is the kernel's.
    public let order: ByteOrder
    /// Where it stands in the guest's memory, and its copies, ascending; empty where that is not known, as of a dump's.
    public let addresses: [PhysicalAddress]

    /// Describes a note.
    public init(info: Vmcoreinfo, order: ByteOrder, addresses: [PhysicalAddress]) {
        self.info = info
        self.order = order
        self.addresses = addresses
    }
}

/// What a symbol table outside of the note says of the variables that the note lacks.
public struct SymbolLookup: Sendable {
    /// The addresses that it has.
    public let addresses: [(name: StaticString, address: UInt64)]
    /// Why it has no others, as a person reads it.
    public let reason: [UInt8]

    /// Describes an answer.
    public init(addresses: [(name: StaticString, address: UInt64)], reason: [UInt8]) {
        self.addresses = addresses
        self.reason = reason
    }
}

/// Where a symbol's address comes from.
public enum SymbolSource: Equatable, Sendable {
    /// The kernel's own note.
    case vmcoreinfo
    /// A symbol table: the kernel's file, or /proc/kallsyms.
    case symbolTable
    /// There is no address, and why, as a person reads it.
    case nowhere(reason: [UInt8])
}

/// What says which MMU a kernel uses.
public enum MMUSource: Sendable {
    /// The kernel's own note (`NUMBER(RADIX_MMU)`).
    case vmcoreinfo
    /// /proc/cpuinfo, which only a running guest has.
    case cpuinfo
    /// Whether the kernel's own page tables map its linear map, which radix needs and hash does not.
    case pageTables
    /// Where its memory map is: in a region of its own, which only hash kernels before 5.2 have.
    case memoryMap
    /// Nothing does.
    case nowhere
}

/// A kernel: its constants, as its VMCOREINFO note says them, and where the note lacks something, as others do.
///
/// They hold from boot to the kernel's end. What changes meanwhile is read with them from the kernel's memory, whatever
/// that is: ``KernelState``.
public struct Kernel: Sendable {
    /// The note.
    public let note: KernelNote
    /// Where the kernel keeps its vmemmap bookkeeping.
    public let layout: KernelLayout
    /// `OSRELEASE=`: printable ASCII, at least one character.
    public let release: [UInt8]
    /// Where the addresses of ``Vmcoreinfo/symbolNames`` come from, in their order, and behind them those of
    /// ``FreeNodeAddresses`` where somebody has looked for them.
    public private(set) var symbols: [(name: StaticString, source: SymbolSource)]
    /// Where it keeps what its list does not have; nil where nobody has learned that.
    public private(set) var freeNodes: FreeNodeAddresses?
    /// The MMU that the kernel uses.
    public private(set) var mmu: MMU
    /// What says so.
    public private(set) var mmuSource: MMUSource

    /// The byte order of its words; page tables are big-endian in either.
    public var order: ByteOrder { note.order }

    /// A key of the note that is missing, malformed, or has a value that no kernel of this kind has.
    public struct Problem: Error, Sendable {
        /// The VMCOREINFO key.
        public let key: StaticString
        /// Its value, or nil when there is none that is a number.
        public let value: UInt64?
        /// Of a symbol that neither the note nor the symbol table has: its name, and why the table has none.
        public let symbol: (name: StaticString, reason: [UInt8])?
    }

    /// Reads the constants.
    ///
    /// - Parameters:
    ///   - note: the kernel's note.
    ///   - lookUp: looks up those variables that the note lacks; it is not asked when the note has them all.
    /// - Throws: the first key that cannot be used.
    public init(
        note: KernelNote, lookingUp lookUp: (_ missing: [StaticString]) -> SymbolLookup
    ) throws(Problem) {
        self.note = note
        // It is shown to people, so what a terminal would obey is refused.
        guard let release = note.info.value("OSRELEASE"), !release.isEmpty,
            release.allSatisfy({ 0x20...0x7e ~= $0 })
        else { throw Problem(key: "OSRELEASE", value: nil, symbol: nil) }
        self.release = Array(release)

        let missing = Vmcoreinfo.symbolNames.filter { note.info.symbol($0) == nil }
        let found = missing.isEmpty ? SymbolLookup(addresses: [], reason: []) : lookUp(missing)
        var symbols: [(name: StaticString, source: SymbolSource)] = []
        for name in Vmcoreinfo.symbolNames {
            let source: SymbolSource =
                if !missing.contains(where: { $0.isEqual(to: name) }) {
                    .vmcoreinfo
                } else if found.addresses.contains(where: { $0.name.isEqual(to: name) }) {
                    .symbolTable
                } else {
                    .nowhere(reason: found.reason)
                }
            symbols.append((name, source))
        }
        self.symbols = symbols

        do throws(KernelLayout.Problem) {
            layout = try KernelLayout(note.info.adding(found.addresses))
        } catch {
            throw Problem(key: error.key, value: error.value, symbol: Self.absentSymbol(ofKey: error.key, symbols))
        }
        mmu = layout.mmu
        mmuSource = layout.mmu == .unknown ? .nowhere : .vmcoreinfo
    }

    /// Takes the MMU from elsewhere where the note does not say it; what the note says counts.
    public mutating func learn(mmu: MMU, from source: MMUSource) {
        guard mmuSource == .nowhere else { return }
        self.mmu = mmu
        mmuSource = source
    }

    /// Takes over what a symbol table says of the variables that no note tells; without all of them none is of use.
    public mutating func learn(freeNodes found: SymbolLookup) {
        let addresses = FreeNodeAddresses.names.map { name in
            found.addresses.first { $0.name.isEqual(to: name) }?.address
        }
        for (name, address) in zip(FreeNodeAddresses.names, addresses) {
            symbols.append((name, address == nil ? .nowhere(reason: found.reason) : .symbolTable))
        }
        if let next = addresses[0], let leftCount = addresses[1], let freedCount = addresses[2] {
            freeNodes = FreeNodeAddresses(next: next, leftCount: leftCount, freedCount: freedCount)
        }
    }

    private static func absentSymbol(
        ofKey key: StaticString, _ symbols: [(name: StaticString, source: SymbolSource)]
    ) -> (name: StaticString, reason: [UInt8])? {
        for (name, source) in symbols {
            guard case .nowhere(let reason) = source else { continue }
            var spelling: [UInt8] = []
            spelling.append(text: "SYMBOL(")
            spelling.append(text: name)
            spelling.append(text: ")")
            if spelling[...].equals(key) { return (name, reason) }
        }
        return nil
    }
}

extension StaticString {
    /// Whether both have the same bytes.
    fileprivate func isEqual(to other: StaticString) -> Bool {
        var bytes: [UInt8] = []
        bytes.append(text: self)
        return bytes[...].equals(other)
    }
}
