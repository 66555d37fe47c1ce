// SPDX-License-Identifier: Apache-2.0

import Foundation
import FoundationXML
import SystemPackage
import Testing

@testable import Libvirt

@Suite struct DomainDescriptionTests {
    private let description = DomainDescription(
        name: "qh-<&'\">",
        cpuModel: .power9,
        bootMemoryByteCount: 1 << 30,
        maximumMemoryByteCount: 8 << 30,
        slotCount: 8,
        kernel: "/boot/vmlinux",
        initialRAMDisk: "/boot/initrd & more",
        commandLine: "console=hvc0 a=\"<b>\"",
        consoleLog: "/run/console.log",
        controlSocket: "/run/control.sock",
        sharedMemory: [.init(name: "qh-1.shared", byteCount: 1 << 20)]
    )

    @Test func saysWhatItWasGiven() throws {
        let domain = try parsed(description.xml())
        #expect(try value("name", domain) == description.name)
        #expect(try value("cpu/model", domain) == "POWER9")
        #expect(try value("vcpu", domain) == "1")
        #expect(try value("memory[@unit='bytes']", domain) == "1073741824")
        #expect(try value("maxMemory[@slots='8' and @unit='bytes']", domain) == "8589934592")
        #expect(try value("os/kernel", domain) == "/boot/vmlinux")
        #expect(try value("os/initrd", domain) == "/boot/initrd & more")
        #expect(try value("os/cmdline", domain) == description.commandLine)
        #expect(try value("devices/serial[@type='file'][target/@port='0']/source/@path", domain) == "/run/console.log")
        #expect(try value("devices/serial[@type='unix'][target/@port='1']/source/@path", domain) == "/run/control.sock")
        #expect(try value("devices/shmem[@name='qh-1.shared']/size[@unit='bytes']", domain) == "1048576")
        #expect(try value("devices/shmem[@name='qh-1.shared']/@role", domain) == "master")
        #expect(try value("on_crash", domain) == "destroy")
    }

    @Test func leavesOutWhatIsNotThere() throws {
        var description = description
        description.initialRAMDisk = nil
        description.sharedMemory = []
        let domain = try parsed(description.xml())
        #expect(try domain.nodes(forXPath: "os/initrd").isEmpty)
        #expect(try domain.nodes(forXPath: "devices/shmem").isEmpty)
        #expect(try domain.nodes(forXPath: "devices/emulator").isEmpty)
    }

    @Test func namesAnEmulator() throws {
        var description = description
        description.emulator = "/opt/qemu & co/qemu-system-ppc64"
        #expect(try value("devices/emulator", parsed(description.xml())) == "/opt/qemu & co/qemu-system-ppc64")
    }

    @Test func sharesBootMemoryAmongNodes() throws {
        // libvirt 11 refuses DIMMs that name no node of a guest whose memory may grow.
        let single = try parsed(description.xml())
        #expect(try single.nodes(forXPath: "cpu/numa/cell").count == 1)
        #expect(try value("cpu/numa/cell[@id='0'][@memory='1073741824'][@unit='bytes']/@cpus", single) == "0")
        var description = description
        description.numaNodeCount = 2
        description.cpuCount = 3
        let domain = try parsed(description.xml())
        #expect(try value("cpu/numa/cell[@id='0'][@memory='536870912'][@unit='bytes']/@cpus", domain) == "0,2")
        #expect(try value("cpu/numa/cell[@id='1'][@memory='536870912'][@unit='bytes']/@cpus", domain) == "1")
        description.cpuCount = 1
        #expect(try parsed(description.xml()).nodes(forXPath: "cpu/numa/cell[@id='1']/@cpus").isEmpty)
    }

    @Test func limitsThePagesOfTheHashTable() throws {
        #expect(try parsed(description.xml()).nodes(forXPath: "features/hpt").isEmpty)
        var description = description
        description.hptPageByteCount = 16 << 20
        #expect(try value("features/hpt/maxpagesize[@unit='KiB']", parsed(description.xml())) == "16384")
        #expect(try parsed(description.xml()).nodes(forXPath: "features/hpt/@resizing").isEmpty)
        description.hasHPTResizing = false
        #expect(try value("features/hpt/@resizing", parsed(description.xml())) == "disabled")
        #expect(try value("features/hpt/maxpagesize", parsed(description.xml())) == "16384")
        description.hptPageByteCount = nil
        #expect(try value("features/hpt/@resizing", parsed(description.xml())) == "disabled")
    }

    @Test(arguments: ["a\nb", "a\u{1b}[0m", "a\tb", "a\u{0}b", "a\u{85}b", "a\u{FFFF}b"])
    func refusesControlCharacters(text: String) throws {
        var inCommandLine = description
        inCommandLine.commandLine = text
        var inName = description
        inName.name = text
        var inAttribute = description
        inAttribute.sharedMemory = [.init(name: text, byteCount: 1)]
        let codePoint = try #require(text.unicodeScalars.dropFirst().first).value
        #expect(throws: DomainXMLError.forbiddenCharacter(place: "<cmdline>", codePoint: codePoint)) {
            try inCommandLine.xml()
        }
        #expect(throws: DomainXMLError.forbiddenCharacter(place: "<name>", codePoint: codePoint)) {
            try inName.xml()
        }
        #expect(throws: DomainXMLError.forbiddenCharacter(place: "name of <shmem>", codePoint: codePoint)) {
            try inAttribute.xml()
        }
    }

    @Test func namesAForbiddenCharacterByItsCodePoint() {
        let error = DomainXMLError.forbiddenCharacter(place: "<name>", codePoint: 0x1b)
        #expect("\(error)" == "<name> holds the character U+001B, which XML for libvirt cannot carry")
    }
}

@Suite struct MemoryDeviceTests {
    @Test func saysWhatItWasGiven() throws {
        let device = MemoryDevice(alias: "ua-dimm_1", byteCount: 256 << 20, address: .init(slot: 3, base: 0x4000_0000))
        let memory = try parsed(device.xml())
        #expect(try value("@model", memory) == "dimm")
        #expect(try value("alias/@name", memory) == "ua-dimm_1")
        #expect(try value("target/size[@unit='bytes']", memory) == "268435456")
        #expect(try value("address[@type='dimm'][@slot='3']/@base", memory) == "0x40000000")
    }

    @Test func belongsToANode() throws {
        let memory = try parsed(MemoryDevice(alias: "ua-a", byteCount: 1, node: 1).xml())
        #expect(try value("target/node", memory) == "1")
    }

    @Test func leavesTheAddressToLibvirt() throws {
        let memory = try parsed(MemoryDevice(alias: "ua-a", byteCount: 1).xml())
        #expect(try memory.nodes(forXPath: "address").isEmpty)
        #expect(try value("target/node", memory) == "0")
    }

    @Test func leavesTheBaseToQemu() throws {
        let memory = try parsed(MemoryDevice(alias: "ua-a", byteCount: 1, address: .init(slot: 2)).xml())
        #expect(try value("address/@slot", memory) == "2")
        #expect(try memory.nodes(forXPath: "address/@base").isEmpty)
    }

    @Test(arguments: ["", "dimm0", "ua-", "ua-a b", "ua-a/b", "ua-ä", "ua-a\n"])
    func refusesAliasesThatLibvirtWouldIgnore(alias: String) {
        #expect(throws: DomainXMLError.badAlias(alias)) { try MemoryDevice(alias: alias, byteCount: 1).xml() }
    }

    @Test func tellsADimmByItsOwnAliasInEvents() {
        #expect(deviceAlias("memua-dimm-1") == "ua-dimm-1")
        #expect(deviceAlias("ua-dimm-1") == "ua-dimm-1")
        #expect(deviceAlias("net0") == "net0")
    }
}

private func parsed(_ xml: String) throws -> XMLElement {
    try #require(XMLDocument(xmlString: xml).rootElement())
}

private func value(_ path: String, _ element: XMLElement) throws -> String? {
    let nodes = try element.nodes(forXPath: path)
    try #require(nodes.count == 1, "\(path) names \(nodes.count) nodes")
    return nodes.first?.stringValue
}
