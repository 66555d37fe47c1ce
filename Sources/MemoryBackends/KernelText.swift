// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
public import KernelState

extension SymbolSource: CustomStringConvertible {
    /// What a person reads.
    public var description: String {
        switch self {
        case .vmcoreinfo: "VMCOREINFO"
        case .symbolTable: "the kernel's file"
        case .nowhere(let reason): "nowhere: \(String(decoding: reason, as: UTF8.self))"
        }
    }
}

extension MMUSource: CustomStringConvertible {
    /// What a person reads.
    public var description: String {
        switch self {
        case .vmcoreinfo: "VMCOREINFO"
        case .cpuinfo: "/proc/cpuinfo"
        case .pageTables: "swapper_pg_dir"
        case .memoryMap: "its memory map's place"
        case .nowhere: "nowhere"
        }
    }
}

extension Kernel.Problem: CustomStringConvertible {
    /// What a person reads.
    public var description: String {
        if let symbol {
            return "no address of \(symbol.name): \(String(decoding: symbol.reason, as: UTF8.self))"
        }
        return value.map { "VMCOREINFO has \(key)=\($0), which no ppc64 kernel has" }
            ?? "VMCOREINFO has no usable \(key)"
    }
}

extension KernelReadError: CustomStringConvertible {
    /// What a person reads.
    public var description: String {
        let address = cause.address.hexadecimal
        return switch part {
        case .listHead: "vmemmap_list at \(address) is not in guest memory"
        case .sectionTable: "the kernel's section table leads outside guest memory, to \(address)"
        case .pageSizes: "the kernel's page sizes at \(address) are not in guest memory"
        }
    }
}
