// SPDX-License-Identifier: Apache-2.0

import GuestMemory
public import KernelState
public import SystemPackage

extension Kernel {
    /// Reads a kernel's constants from its note, and from the file that the kernel was booted from what that lacks of symbols,
    /// and what no note has.
    public init(note: KernelNote, image: FilePath) throws(Kernel.Problem) {
        let symbols = ImageSymbols(image, for: note.info)
        try self.init(note: note) { symbols.lookUp($0, inNote: true) }
        learn(freeNodes: symbols.lookUp(FreeNodeAddresses.names, inNote: false))
    }
}

/// What a kernel's file tells of the variables that are read here.
private struct ImageSymbols {
    /// Every kernel has it in its note; it holds the release, so it is another build's if it stands elsewhere.
    private static let anchor: StaticString = "init_uts_ns"

    private let image: FilePath
    private let found: [String: UInt64]
    /// Why it tells nothing.
    private let problem: String?

    /// Reads the file, unless it is of a kernel that was moved, or of another kernel.
    init(_ image: FilePath, for info: Vmcoreinfo) {
        self.image = image
        do {
            let globals = Vmcoreinfo.symbolNames.filter { info.symbol($0) == nil } + [Self.anchor]
            let found = try KernelImage(image).addresses(
                ofGlobal: globals.map { "\($0)" }, local: FreeNodeAddresses.names.map { "\($0)" })
            let address = info.symbol(Self.anchor)
            let isItsOwn = address != nil && found["\(Self.anchor)"] == address
            self.found = isItsOwn ? found : [:]
            problem = isItsOwn ? nil : "the kernel's file \(image) has \(Self.anchor) at another place"
        } catch {
            (found, problem) = ([:], "\(error)")
        }
    }

    /// The addresses of variables, and why there are no others: `inNote` says whether the note could have had them.
    func lookUp(_ names: [StaticString], inNote: Bool) -> SymbolLookup {
        let reason =
            switch (problem, inNote) {
            case (let problem?, true): "VMCOREINFO lacks it, and \(problem)"
            case (let problem?, false): problem
            case (nil, true): "neither VMCOREINFO nor the kernel's file has it"
            case (nil, false): "the kernel's file has none of this name, or several"
            }
        return SymbolLookup(
            addresses: names.compactMap { name in found["\(name)"].map { (name, $0) } }, reason: Array(reason.utf8))
    }
}
