// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// The kernel's own symbol table, /proc/kallsyms, which names variables with CONFIG_KALLSYMS_ALL only.
///
/// It is megabytes of text, so it is read where VMCOREINFO lacks a symbol and not before.
enum Kallsyms {
    /// The addresses of those of the global symbols that the table has, from lines of `c000000002759380 B vmemmap_list`.
    static func addresses(
        of names: [StaticString], system: some AgentSystem
    ) -> [(name: StaticString, address: UInt64)] {
        var found: [(name: StaticString, address: UInt64)] = []
        guard !names.isEmpty else { return found }
        // Lines that are left out are of modules' symbols.
        _ = system.readLines(of: "/proc/kallsyms") { line in
            var rest = line
            guard let address = rest.takeNumber(radix: 16), rest.skip(" "),
                let type = rest.popFirst(), 0x41...0x5a ~= type, rest.skip(" ")
            else { return true }
            for name in names where rest.equals(name) { found.append((name, address)) }
            return true
        }
        return found
    }
}
