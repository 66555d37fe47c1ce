// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Libvirt

/// Against libvirt's test driver, each test with a node of its own: `test:///default` is one for the whole process.
@Suite struct ConnectionTests {
    private static let guest = """
        <domain type='test'>
          <name>guest</name>
          <uuid>0a1b2c3d-0000-4000-8000-00000000000f</uuid>
          <memory unit='KiB'>1048576</memory>
          <os><type>hvm</type></os>
          <vcpu>1</vcpu>
          <cpu><numa><cell id='0' cpus='0' memory='1048576' unit='KiB'/></numa></cpu>
        </domain>
        """

    private func withConnection(_ body: (Connection) async throws -> Void) async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "node-\(UUID().uuidString).xml")
        try Data("<node><cpu/></node>".utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        try await body(Connection.open(uri: "test://\(file.path)"))
    }

    @Test func tellsItsVersion() throws {
        #expect(try Connection.libraryVersion().major >= 9)
        #expect(Version(packed: 9_002_011).description == "9.2.11")
    }

    @Test func saysWhatCannotBeOpened() async throws {
        let error = try await #require(throws: LibvirtError.self) { try await Connection.open(uri: "nonsense:///") }
        #expect(error.call == "virConnectOpen")
        #expect(error.code != 0)
        #expect("\(error)" == "virConnectOpen failed: \(error.message)")
    }

    @Test func startsDomains() async throws {
        try await withConnection { connection in
            let domain = try await connection.createTransient(xml: Self.guest)
            #expect(domain.name == "guest")
            #expect(domain.uuid == "0a1b2c3d-0000-4000-8000-00000000000f")
            let live = try await LiveDomain(xml: domain.liveXML())
            #expect(live.bootMemoryByteCount == 1 << 30)
            #expect(live.dimms == [])
        }
    }

    @Test func findsDomainsByNameAndUUID() async throws {
        try await withConnection { connection in
            let domain = try await connection.createTransient(xml: Self.guest)
            for name in ["guest", domain.uuid] {
                #expect(try await connection.domain(named: name).uuid == domain.uuid)
            }
            let error = try await #require(throws: LibvirtError.self) { try await connection.domain(named: "other") }
            #expect(error.call == "virDomainLookupByName")
            #expect(try await connection.uri().hasPrefix("test:///"))
            // This driver's memory is each address's low byte (testDomainMemoryPeek).
            #expect(try domain.peek(at: 0x1fe, byteCount: 4) == [0xfe, 0xff, 0x00, 0x01])
        }
    }

    @Test func judgesADomainAndLeavesNothing() async throws {
        try await withConnection { connection in
            try await connection.validate(domain: Self.guest, devices: [])
            // A definition that had stayed would be in the way of another domain with this UUID.
            let other = Self.guest.replacingOccurrences(of: "<name>guest", with: "<name>other")
            try await connection.validate(domain: other, devices: [])
            for (domain, devices, call) in [
                ("<domain/>", [], "virDomainDefineXML"), (Self.guest, ["<nonsense/>"], "virDomainAttachDeviceFlags"),
            ] {
                let error = try await #require(throws: LibvirtError.self) {
                    try await connection.validate(domain: domain, devices: devices)
                }
                #expect(error.call == call)
            }
            try await connection.validate(domain: other, devices: [])
        }
    }

    @Test func refusesBadXML() async throws {
        try await withConnection { connection in
            let error = try await #require(throws: LibvirtError.self) {
                try await connection.createTransient(xml: "<domain/>")
            }
            #expect(error.call == "virDomainCreateXML")
        }
    }

    @Test func followsADomainsLife() async throws {
        try await withConnection { connection in
            let domain = try await connection.createTransient(xml: Self.guest)
            let events = try await domain.events()
            #expect(try await domain.state() == .running)
            try await domain.suspend()
            #expect(try await domain.state() == .paused)
            try await domain.resume()
            try await domain.destroy()
            var seen: [DomainEvent] = []
            // The stream ends by itself with the stop.
            for await event in events { seen.append(event) }
            #expect(seen == [.suspended, .resumed, .stopped(.destroyed)])
            let error = try await #require(throws: LibvirtError.self) { try await domain.destroy() }
            #expect(error.call == "virDomainDestroy")
        }
    }

    @Test func keepsEventsOfDomainsApart() async throws {
        try await withConnection { connection in
            let domain = try await connection.createTransient(xml: Self.guest)
            let other = try await connection.createTransient(
                xml: Self.guest.replacingOccurrences(of: "guest", with: "other")
                    .replacingOccurrences(of: "00000f", with: "00000e")
            )
            let events = try await domain.events()
            try await other.destroy()
            try await domain.destroy()
            var seen: [DomainEvent] = []
            for await event in events { seen.append(event) }
            #expect(seen == [.stopped(.destroyed)])
        }
    }

    @Test func endsAStreamWhoseReaderIsCancelled() async throws {
        try await withConnection { connection in
            let domain = try await connection.createTransient(xml: Self.guest)
            let events = try await domain.events()
            let reader = Task {
                var count = 0
                for await _ in events { count += 1 }
                return count
            }
            reader.cancel()
            #expect(await reader.value == 0)
            try await domain.destroy()
        }
    }

    @Test func hasNoMonitorWithoutQemu() async throws {
        try await withConnection { connection in
            let domain = try await connection.createTransient(xml: Self.guest)
            let error = try await #require(throws: LibvirtError.self) { try await domain.monitor(hmp: "info status") }
            #expect(error.call == "virDomainQemuMonitorCommand")
        }
    }

    @Test func keepsNumbersItDoesNotKnow() {
        #expect(DomainState(rawValue: 99) == .unknown(99))
        #expect(DomainEvent(event: 99, detail: 7) == .other(event: 99, detail: 7))
        #expect(DomainEvent(event: 5, detail: 99) == .stopped(.unknown(99)))
    }
}
