// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory

/// The kernel's own symbol table, /proc/kallsyms, which names variables with CONFIG_KALLSYMS_ALL only.
///
/// It is megabytes of text, so it is read where VMCOREINFO lacks a symbol and not before.
enum Kallsyms {
    /// Longer lines are of modules' symbols.
    private static var lineByteCount: Int { 512 }
    private static var readByteCount: Int { 65536 }

    /// The addresses of those of the global symbols that the table has, from lines of `c000000002759380 B vmemmap_list`.
    static func addresses(
        of names: [StaticString], system: some AgentSystem
    ) -> [(name: StaticString, address: UInt64)] {
        guard !names.isEmpty, let file = system.open("/proc/kallsyms", .read) else { return [] }
        defer { system.close(file) }
        var found: [(name: StaticString, address: UInt64)] = []
        var assembler = LineAssembler(maximumByteCount: lineByteCount)
        while case .bytes(let text) = system.read(file, byteCount: readByteCount) {
            for line in assembler.append(text[...]) {
                var rest = line[...]
                guard let address = rest.takeNumber(radix: 16), rest.skip(" "),
                    let type = rest.popFirst(), 0x41...0x5a ~= type, rest.skip(" ")
                else { continue }
                for name in names where rest.equals(name) { found.append((name, address)) }
            }
        }
        return found
    }
}
