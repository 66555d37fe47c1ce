// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Libvirt

@Suite struct LiveDomainTests {
    private let recorded: String

    init() throws {
        let fixture = try #require(
            Bundle.module.url(forResource: "two-dimms", withExtension: "xml", subdirectory: "Fixtures")
        )
        recorded = try String(contentsOf: fixture, encoding: .utf8)
    }

    @Test func readsARecordedDomain() throws {
        let live = try LiveDomain(xml: recorded)
        #expect(live.id == 1)
        #expect(live.name == "qh-recorded")
        #expect(live.architecture == "ppc64")
        #expect(live.emulator == "/usr/bin/qemu-system-ppc64")
        #expect(live.bootMemoryByteCount == 1 << 30)
        #expect(live.dimms.map(\.alias) == ["ua-dimm-1", "ua-dimm-2"])
        #expect(live.dimms.map(\.byteCount) == [1 << 30, 256 << 20])
        #expect(live.dimms.map(\.base) == [0x4000_0000, 0x1_0000_0000])
        #expect(live.dimms.map(\.slot) == [0, 1])
        #expect(live.dimms.map(\.node) == [0, 0])
        #expect(live.bootMemoryByNode == [1 << 30])
    }

    @Test func readsNodes() throws {
        let cell = "<cell id='0' cpus='0' memory='1048576' unit='KiB'/>"
        try #require(recorded.contains(cell))
        let cells = "<cell id='0' memory='524288' unit='KiB'/><cell id='1' memory='524288' unit='KiB'/>"
        let live = try LiveDomain(xml: recorded.replacingOccurrences(of: cell, with: cells))
        #expect(live.bootMemoryByNode == [512 << 20, 512 << 20])
    }

    /// As libvirt has domains that were not described with nodes.
    @Test func readsADomainWithoutNodes() throws {
        let xml = recorded.replacingOccurrences(of: "<cell id='0' cpus='0' memory='1048576' unit='KiB'/>", with: "")
            .replacingOccurrences(of: "<node>0</node>", with: "")
        let live = try LiveDomain(xml: xml)
        #expect(live.bootMemoryByNode == [1 << 30])
        #expect(live.dimms.map(\.node) == [0, 0])
    }

    /// An NVDIMM is memory of the domain, and none that the guest boots with.
    @Test func countsOtherMemoryDevices() throws {
        let nvdimm = "<memory model='nvdimm'><target><size unit='KiB'>262144</size></target></memory></devices>"
        let xml = recorded.replacingOccurrences(of: "</devices>", with: nvdimm)
            .replacingOccurrences(of: "<memory unit='KiB'>2359296", with: "<memory unit='KiB'>2621440")
        let live = try LiveDomain(xml: xml)
        #expect(live.bootMemoryByteCount == 1 << 30)
        #expect(live.dimms.count == 2)
    }

    @Test(arguments: [
        (" id='1'", "", DomainXMLError.missing("id of <domain>")),
        (" id='1'", " id='one'", .badValue(place: "id of <domain>", value: "one")),
        ("<name>qh-recorded</name>", "", .missing("<name>")),
        ("<memory unit='KiB'>2359296</memory>", "", .missing("<memory>")),
        ("<memory unit='KiB'>", "<memory unit='MiB'>", .badValue(place: "unit of <memory>", value: "MiB")),
        ("<memory unit='KiB'>2359296", "<memory unit='KiB'>-1", .badValue(place: "<memory>", value: "-1")),
        (
            "<memory unit='KiB'>2359296", "<memory unit='KiB'>18446744073709551615",
            .badValue(place: "<memory>", value: "18446744073709551615")
        ),
        (
            "<memory unit='KiB'>2359296", "<memory unit='KiB'>1",
            .badValue(place: "<memory>, less than its devices", value: "1024")
        ),
        ("memory='1048576' unit='KiB'", "", .missing("memory of a NUMA cell")),
        (
            "memory='1048576' unit='KiB'", "memory='1048576' unit='GiB'",
            .badValue(place: "unit of memory of a NUMA cell", value: "GiB")
        ),
        (" arch='ppc64'", "", .missing("architecture of <os>")),
        ("<node>0</node>", "<node>-1</node>", .badValue(place: "node of DIMM ua-dimm-1", value: "-1")),
        (" base='0x40000000'", "", .missing("base of DIMM ua-dimm-1")),
        ("'0x40000000'", "'0xzz'", .badValue(place: "base of DIMM ua-dimm-1", value: "0xzz")),
        (
            "'0x40000000'", "'0xffffffffffffffff'",
            .badValue(
                place: "base of DIMM ua-dimm-1, behind which its size does not fit", value: "0xffffffffffffffff")
        ),
        (
            "</numa>", "<cell id='1' memory='18014398509481983' unit='KiB'/></numa>",
            .badValue(place: "memory of all NUMA cells", value: "more bytes than 64 bits count")
        ),
        ("<alias name='ua-dimm-1'/>", "", .missing("alias of a DIMM")),
        ("</domain>", "", .malformed("it is not well-formed XML")),
    ])
    func saysWhatIsWrong(original: String, changed: String, expected: DomainXMLError) throws {
        try #require(recorded.contains(original))
        let xml = recorded.replacingOccurrences(of: original, with: changed)
        #expect(throws: expected) { try LiveDomain(xml: xml) }
    }

    @Test(arguments: [
        "", " ", "domain", "<domain", "<domain>&lt", "<a></b>", "<domain id='1'/><domain/>", "<domain/>x",
    ])
    func refusesTextsThatAreNotXML(text: String) {
        #expect(throws: DomainXMLError.malformed("it is not well-formed XML")) { try LiveDomain(xml: text) }
    }

    /// FoundationXML ends the process over each of them (libxml2 has no text for what stands behind such a name).
    @Test(arguments: [
        "<domain><?name?></domain>", "<?name?><domain/>", "<vlm xe?rsio<?\u{fffd}?>\n<moa$in type=\"qemu\" xml",
        "<!DOCTYPE domain [<!ENTITY e '&#60;?name?&#62;'>]><domain>&e;</domain>",
    ])
    func refusesInstructionsWithoutText(text: String) {
        #expect(throws: DomainXMLError.malformed("it is not well-formed XML")) { try LiveDomain(xml: text) }
    }

    @Test func readsOtherInstructions() throws {
        let xml = "<?xml version='1.0'?>" + recorded.replacingOccurrences(of: "<name>", with: "<?name text?><name>")
        #expect(try LiveDomain(xml: xml) == LiveDomain(xml: recorded))
    }

    @Test func refusesOtherDocuments() {
        #expect(throws: DomainXMLError.malformed("its root is not <domain>")) { try LiveDomain(xml: "<network/>") }
    }

    @Test func boundsLengthAndDepth() {
        let long = String(repeating: " ", count: LiveDomain.byteLimit + 1)
        #expect(throws: DomainXMLError.tooLong(byteCount: long.utf8.count, limit: LiveDomain.byteLimit)) {
            try LiveDomain(xml: long)
        }
        let deep = String(repeating: "<domain>", count: 10_000) + String(repeating: "</domain>", count: 10_000)
        #expect(throws: DomainXMLError.malformed("it is not well-formed XML")) { try LiveDomain(xml: deep) }
    }
}
