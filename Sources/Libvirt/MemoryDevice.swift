// SPDX-License-Identifier: Apache-2.0

internal import FoundationXML

/// A DIMM to plug into a running guest.
public struct MemoryDevice: Equatable, Sendable {
    /// A place among the guest's DIMMs.
    public struct Address: Equatable, Sendable {
        /// The slot, from 0.
        public var slot: Int
        /// The guest physical address of the DIMM's first byte; QEMU chooses if nil.
        public var base: UInt64?

        /// A slot, and a base address if QEMU is not to choose it.
        public init(slot: Int, base: UInt64? = nil) {
            self.slot = slot
            self.base = base
        }
    }

    /// The name by which the DIMM is told from others and unplugged: `ua-` and then letters, digits, `_` and `-`.
    public var alias: String
    /// The DIMM's size in bytes, a multiple of 256 MiB.
    public var byteCount: UInt64
    /// Where the DIMM goes; libvirt chooses if nil.
    public var address: Address?
    /// The guest's NUMA node that it belongs to.
    public var node: Int

    /// A DIMM of that name and size.
    public init(alias: String, byteCount: UInt64, address: Address? = nil, node: Int = 0) {
        self.alias = alias
        self.byteCount = byteCount
        self.address = address
        self.node = node
    }

    /// The DIMM in libvirt's XML, for ``Domain/attachDevice(xml:)``.
    ///
    /// - Throws: `DomainXMLError.badAlias` if libvirt would ignore the alias.
    public func xml() throws(DomainXMLError) -> String {
        guard isUserAlias(alias) else { throw .badAlias(alias) }
        let target = [
            try element("size", ["unit": "bytes"], text: "\(byteCount)"), try element("node", text: "\(node)"),
        ]
        var children = [try element("target", children: target), try element("alias", ["name": alias])]
        if let address { children.append(try addressElement(address)) }
        return try element("memory", ["model": "dimm"], children: children).xmlString(options: .nodePrettyPrint)
    }

    private func addressElement(_ address: Address) throws(DomainXMLError) -> XMLElement {
        guard let base = address.base else {
            return try element("address", ["type": "dimm", "slot": "\(address.slot)"])
        }
        return try element(
            "address",
            ["type": "dimm", "slot": "\(address.slot)", "base": "0x" + String(base, radix: 16)]
        )
    }
}

/// Whether libvirt takes an alias from its user: it ignores others without a word.
func isUserAlias(_ alias: String) -> Bool {
    alias.hasPrefix("ua-") && alias.utf8.count > 3
        && alias.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
}
