// SPDX-License-Identifier: Apache-2.0

/// A running domain's memory as libvirt's live XML tells it.
public struct LiveDomain: Equatable, Sendable {
    /// A DIMM that is plugged in.
    public struct DIMM: Equatable, Sendable {
        /// libvirt's name for the device.
        public let alias: String
        /// Its size in bytes.
        public let byteCount: UInt64
        /// The guest physical address of its first byte.
        public let base: UInt64
        /// Its slot, from 0.
        public let slot: Int
        /// Its NUMA node.
        public let node: Int
    }

    /// libvirt's number for the running domain.
    public let id: Int
    /// The domain's name.
    public let name: String
    /// The machine's architecture, as libvirt names it, such as `ppc64`.
    public let architecture: String
    /// The program that runs it, as libvirt names it; nil for drivers that run none.
    public let emulator: String?
    /// The memory that the guest booted with, in bytes.
    public let bootMemoryByteCount: UInt64
    /// The boot memory of each NUMA node, in bytes; of a domain without NUMA nodes all of it, as one.
    public let bootMemoryByNode: [UInt64]
    /// What is plugged in, by base address.
    public let dimms: [DIMM]

    /// The longest XML that is read, in bytes.
    static let byteLimit = 1 << 20

    /// Reads what ``Domain/liveXML()`` gave.
    ///
    /// - Throws: `DomainXMLError` if the XML is not that of a running domain, or is longer than 1 MiB.
    public init(xml: String) throws(DomainXMLError) {
        guard xml.utf8.count <= Self.byteLimit else {
            throw .tooLong(byteCount: xml.utf8.count, limit: Self.byteLimit)
        }
        guard let domain = ParsedElement.root(of: xml) else { throw .malformed("it is not well-formed XML") }
        guard domain.name == "domain" else { throw .malformed("its root is not <domain>") }
        id = try integer(text(domain.attributes["id"], "id of <domain>"), "id of <domain>")
        name = try text(domain.child("name")?.text, "<name>")
        architecture = try text(domain.child("os")?.child("type")?.attributes["arch"], "architecture of <os>")
        emulator = domain.child("devices")?.child("emulator")?.text
        let devices = domain.child("devices")?.children.filter { $0.name == "memory" } ?? []
        dimms = try devices.filter { $0.attributes["model"] == "dimm" }
            .map { memory throws(DomainXMLError) in try DIMM(memory) }
            .sorted { $0.base < $1.base }
        // libvirt's <memory> counts what is plugged in, too, NVDIMMs among it.
        var bootMemory = try memorySize(domain.child("memory"), "<memory>")
        for device in devices {
            let byteCount = try memorySize(device.child("target")?.child("size"), "size of a memory device")
            let (rest, overflow) = bootMemory.subtractingReportingOverflow(byteCount)
            guard !overflow else { throw .badValue(place: "<memory>, less than its devices", value: "\(bootMemory)") }
            bootMemory = rest
        }
        bootMemoryByteCount = bootMemory
        let cells = domain.child("cpu")?.child("numa")?.children.filter { $0.name == "cell" } ?? []
        bootMemoryByNode =
            cells.isEmpty
            ? [bootMemory]
            : try cells.map { cell throws(DomainXMLError) in
                try memorySize(cell.attributes["memory"], unit: cell.attributes["unit"], "memory of a NUMA cell")
            }
        // Whoever adds the cells up can.
        let cellTotal = bootMemoryByNode.reduce((value: UInt64(0), overflow: false)) { total, cell in
            let (value, overflow) = total.value.addingReportingOverflow(cell)
            return (value, total.overflow || overflow)
        }
        guard !cellTotal.overflow else {
            throw .badValue(place: "memory of all NUMA cells", value: "more bytes than 64 bits count")
        }
    }
}

extension LiveDomain.DIMM {
    /// Power ISA: real addresses have 60 bits at most.
    private static let addressLimit: UInt64 = 1 << 60

    fileprivate init(_ memory: ParsedElement) throws(DomainXMLError) {
        let target = memory.child("target")
        let address = memory.child("address")
        alias = try text(memory.child("alias")?.attributes["name"], "alias of a DIMM")
        byteCount = try memorySize(target?.child("size"), "size of DIMM \(alias)")
        slot = try integer(text(address?.attributes["slot"], "slot of DIMM \(alias)"), "slot of DIMM \(alias)")
        let baseText = try text(address?.attributes["base"], "base of DIMM \(alias)")
        guard baseText.hasPrefix("0x"), let base = UInt64(baseText.dropFirst(2), radix: 16) else {
            throw .badValue(place: "base of DIMM \(alias)", value: baseText)
        }
        let (end, overflow) = base.addingReportingOverflow(byteCount)
        guard !overflow, end <= Self.addressLimit else {
            throw .badValue(place: "base of DIMM \(alias), behind which its size does not fit", value: baseText)
        }
        self.base = base
        // A domain without NUMA nodes has a single one.
        let nodeText = target?.child("node")?.text ?? "0"
        node = try integer(nodeText, "node of DIMM \(alias)")
    }
}

private func text(_ text: String?, _ place: String) throws(DomainXMLError) -> String {
    guard let text else { throw .missing(place) }
    return text
}

private func integer<Number: FixedWidthInteger>(_ text: String, _ place: String) throws(DomainXMLError) -> Number {
    guard let number = Number(text, radix: 10), number >= 0 else { throw .badValue(place: place, value: text) }
    return number
}

/// A size in bytes; libvirt writes every memory size in KiB.
private func memorySize(_ element: ParsedElement?, _ place: String) throws(DomainXMLError) -> UInt64 {
    try memorySize(element?.text, unit: element?.attributes["unit"], place)
}

private func memorySize(_ size: String?, unit: String?, _ place: String) throws(DomainXMLError) -> UInt64 {
    let count: UInt64 = try integer(text(size, place), place)
    let unit = try text(unit, "unit of \(place)")
    guard unit == "KiB" else { throw .badValue(place: "unit of \(place)", value: unit) }
    let (byteCount, overflow) = count.multipliedReportingOverflow(by: 1024)
    guard !overflow else { throw .badValue(place: place, value: "\(count)") }
    return byteCount
}
