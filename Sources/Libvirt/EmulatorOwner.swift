// SPDX-License-Identifier: Apache-2.0

internal import CLibvirt
internal import Glibc

extension Connection {
    /// The user and group that this libvirt runs guests as, nil if it does not say (`virConnectGetCapabilities`: the
    /// base label of the security model `dac`).
    ///
    /// - Throws: `LibvirtError` if libvirt does not tell its capabilities.
    public func emulatorOwner() async throws -> (user: UInt32, group: UInt32)? {
        let xml = try await blocking {
            let text = unsafe try check("virConnectGetCapabilities", virConnectGetCapabilities(self.pointer))
            // A C string that libvirt allocated for us.
            defer { unsafe free(text) }
            return unsafe String(cString: text)
        }
        return Self.emulatorOwner(capabilities: xml)
    }

    /// Reads `+USER:+GROUP` of QEMU's base label.
    static func emulatorOwner(capabilities xml: String) -> (user: UInt32, group: UInt32)? {
        let models = ParsedElement.root(of: xml)?.child("host")?.children.filter { $0.name == "secmodel" } ?? []
        let labels = models.first { $0.child("model")?.text == "dac" }?.children ?? []
        guard let label = labels.first(where: { $0.name == "baselabel" && $0.attributes["type"] == "qemu" })?.text
        else { return nil }
        let numbers = label.split(separator: ":").compactMap { $0.hasPrefix("+") ? UInt32($0.dropFirst()) : nil }
        return numbers.count == 2 ? (numbers[0], numbers[1]) : nil
    }
}
