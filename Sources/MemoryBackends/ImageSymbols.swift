// SPDX-License-Identifier: Apache-2.0

import GuestMemory
public import KernelState
public import SystemPackage

extension Kernel {
    /// Reads a kernel's constants from its note, and what that lacks of symbols from the file that the kernel was booted
    /// from, which is not opened where the note has them all.
    public init(note: KernelNote, image: FilePath) throws(Kernel.Problem) {
        try self.init(note: note) { missing in SymbolLookup(of: missing, in: image, for: note.info) }
    }
}

extension SymbolLookup {
    /// Every kernel has it in its note; it holds the release, so it is another build's if it stands elsewhere.
    private static let anchor: StaticString = "init_uts_ns"

    /// Looks variables up in a kernel's file, unless that is of a kernel that was moved, or of another kernel.
    fileprivate init(of missing: [StaticString], in image: FilePath, for info: Vmcoreinfo) {
        let found: [String: UInt64]
        do {
            found = try KernelImage(image).addresses(of: (missing + [Self.anchor]).map { "\($0)" })
        } catch {
            self.init(addresses: [], reason: Array("VMCOREINFO lacks it, and \(error)".utf8))
            return
        }
        guard let address = info.symbol(Self.anchor), found["\(Self.anchor)"] == address else {
            let reason = "VMCOREINFO lacks it, and the kernel's file \(image) has \(Self.anchor) at another place"
            self.init(addresses: [], reason: Array(reason.utf8))
            return
        }
        self.init(
            addresses: missing.compactMap { name in found["\(name)"].map { (name, $0) } },
            reason: Array("neither VMCOREINFO nor the kernel's file has it".utf8))
    }
}
