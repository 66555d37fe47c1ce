// SPDX-License-Identifier: Apache-2.0

import CLibvirt
import Foundation
import GuestMemory
import HarnessBasics
import Inspection
import MemoryBackends
import Synchronization
import SystemPackage
import TestSupport
import Testing
import Verification

@testable import Guests
@testable import Libvirt
@testable import RunRecord
@testable import Runs

extension RealGuest {
    /// What `inspect` reads of a guest that it does not know, in its memory and in libvirt's dump of it, is what the run has
    /// seen. Neither has a note in its file.
    @Suite struct HostDumps {
        /// Has libvirt write the guest's memory into an ELF file (`virsh dump --memory-only`), paused as long as that takes.
        /// QEMU's monitor could be asked as well, and libvirt 9.0 ends its process over the event of a dump that it has not
        /// asked for.
        struct HostDumpStep: RunStep {
            let file: String

            var title: String { "core dump" }

            func perform(in context: inout RunContext, result: inout StepResult) async throws {
                let domain = try libvirtDomain(of: context.runningGuest())
                let file = file
                try await domain.call("virDomainCoreDumpWithFormat") {
                    virDomainCoreDumpWithFormat(
                        $0, file, VIR_DOMAIN_CORE_DUMP_FORMAT_RAW.rawValue, VIR_DUMP_MEMORY_ONLY.rawValue)
                }
            }
        }

        /// What became of a guest that was inspected as one of somebody else's.
        private final class Looks: Sendable {
            struct State {
                var byWay: [String: Inspection] = [:]
                var digests: [[String: String]] = []
                var states: [DomainState] = []
                var xml: [String] = []
            }
            let state = Mutex(State())
        }

        /// Inspects the guest as if it were somebody else's: while it runs, at rest, and with a look that is broken off.
        private struct ForeignLookStep: RunStep {
            let looks: Looks

            var title: String { "look" }

            func perform(in context: inout RunContext, result: inout StepResult) async throws {
                let running = try context.runningGuest()
                let domain = try libvirtDomain(of: running)
                let guest = try await ForeignGuest(domain, connectedTo: domain.connection.uri())
                @Sendable func look(_ access: ForeignGuest.Access) async throws -> Inspection {
                    try await guest.read(access) { try Inspection(of: $0) }
                }
                func note(_ way: String, _ inspection: Inspection) {
                    looks.state.withLock { $0.byWay[way] = inspection }
                }
                func noteState() async throws {
                    let (state, xml) = (try await domain.state(), try await domain.liveXML())
                    looks.state.withLock {
                        $0.states.append(state)
                        $0.xml.append(xml)
                    }
                }
                try await noteState()
                note(
                    "running",
                    try await guest.held(pausing: false) { _ in try await Inspection.settled { try await look(.best) } }
                )
                note("paused", try await guest.held(pausing: true) { _ in try await look(.best) })
                try await noteState()
                let broken = Task { [guest] in
                    try await guest.held(pausing: true) { _ in try await Task.sleep(for: .seconds(3600)) }
                }
                while try await domain.state() != .paused { try await Task.sleep(for: .milliseconds(10)) }
                broken.cancel()
                await #expect(throws: CancellationError.self) { try await broken.value }
                try await noteState()

                // At rest before, and so afterwards; whatever is read.
                try await domain.suspend()
                func noteDigests() async throws {
                    var digests: [String: String] = [:]
                    for region in await running.memory.ram.regions {
                        digests[region.name] = try RecordFile.digest(of: URL(filePath: region.file.path.string))
                    }
                    looks.state.withLock { $0.digests.append(digests) }
                }
                try await noteDigests()
                note("files at rest", try await guest.held(pausing: true) { _ in try await look(.best) })
                note("peek at rest", try await guest.held(pausing: true) { _ in try await look(.peek) })
                try await noteDigests()
                try await noteState()
                try await domain.resume()
            }
        }

        struct Guest: Sendable, CustomTestStringConvertible {
            let cpu: DomainDescription.CPUModel
            let kernel: String
            let mmuSource: String

            var testDescription: String { "\(kernel), \(cpu.rawValue)" }
        }

        private static let guests: [Guest] = [
            Guest(cpu: .power9, kernel: "6.12-64k", mmuSource: "VMCOREINFO"),
            Guest(cpu: .power8, kernel: "6.1", mmuSource: "swapper_pg_dir"),
            Guest(cpu: .power9, kernel: "6.1", mmuSource: "swapper_pg_dir"),
            Guest(cpu: .power8, kernel: "6.12-4k", mmuSource: "VMCOREINFO"),
            Guest(cpu: .power9, kernel: "6.12-4k", mmuSource: "VMCOREINFO"),
        ]

        @Test(arguments: RealGuest.cases(guests, everyTime: 1)) func hasWhatTheRunHasSeen(_ guest: Guest) async throws {
            try await Self.expectSame(guest)
        }

        @Test(
            .long,
            .enabled("the kernel takes long to build: run scripts/guest-kernel 6.1-be") {
                (try? GuestImages.kernel(named: "6.1-be", environment: ProcessInfo.processInfo.environment)) != nil
            }, arguments: [DomainDescription.CPUModel.power8, .power9])
        func bigEndianOnesToo(cpu: DomainDescription.CPUModel) async throws {
            try await Self.expectSame(Guest(cpu: cpu, kernel: "6.1-be", mmuSource: "swapper_pg_dir"))
        }

        private static func expectSame(_ guest: Guest) async throws {
            let folder = try TemporaryFolder()
            let file = folder.path("guest.elf")
            let kernel = try GuestImages.kernel(named: guest.kernel, environment: ProcessInfo.processInfo.environment)
            // After an unplug the list's order is no longer that of addresses.
            let looks = Looks()
            let steps: [any RunStep] = [
                PlugStep(byteCount: 512 << 20), PlugStep(byteCount: 512 << 20), UnplugStep(number: 1),
                PlugStep(byteCount: 256 << 20), VerifyStep(), ForeignLookStep(looks: looks), HostDumpStep(file: file),
                PowerOffStep(),
            ]
            var snapshot: Snapshot?
            let run = try await Lab.run(
                Lab.configuration(
                    cpu: guest.cpu, bootMemoryByteCount: 512 << 20, plugs: [512 << 20, 512 << 20, 256 << 20],
                    kernel: kernel), steps
            ) { record in
                snapshot = try JSONDecoder().decode(
                    Snapshot.self, from: Data(contentsOf: record.appending(path: "snapshot-6.json")))
            }
            #expect(run.report.results.error == nil)
            #expect(run.report.exitCode == 0)
            let seen = try #require(snapshot)
            let dump = try Inspection(of: DumpMemory(FilePath(file)))
            let look = looks.state.withLock { $0 }
            #expect(look.byWay.count == 4)
            for (way, inspection) in look.byWay.merging(["dump": dump], uniquingKeysWith: { first, _ in first }) {
                expectSame(inspection, seen, guest, "\(way)")
            }
            #expect(look.byWay["files at rest"]?.source == "guest's memory files")
            #expect(look.byWay["peek at rest"]?.source == "guest, through its hypervisor")
            #expect(look.states == [.running, .running, .running, .paused])
            #expect(Set(look.xml).count == 1)
            #expect(look.digests.count == 2)
            // Boot memory and two DIMMs; three where the guest has refused to give one up.
            #expect([3, 4].contains(look.digests.first?.count))
            #expect(look.digests.first == look.digests.last)
        }

        private static func expectSame(_ inspection: Inspection, _ seen: Snapshot, _ guest: Guest, _ way: Comment) {
            #expect(inspection.verdict.findings == [], way)
            #expect(inspection.isWhole, way)
            #expect(inspection.mmuSource == guest.mmuSource, way)
            expectSame(inspection.snapshot, seen, way)
        }

        /// Whoever was asked: the same kernel, with the same nodes at the same places in the same order.
        static func expectSame(_ snapshot: Snapshot, _ live: Snapshot, _ way: Comment? = nil) {
            #expect(snapshot.kernel == live.kernel, way)
            #expect(snapshot.sections == live.sections, way)
            #expect(snapshot.account == live.account, way)
            #expect(snapshot.kernelList == live.kernelList, way)
            #expect(snapshot.pageTables == live.pageTables, way)
            #expect(snapshot.accountEntries == live.accountEntries, way)
        }
    }
}

/// A guest's domain as libvirt has it.
private func libvirtDomain(of guest: Guest) throws -> Domain {
    let timed = try #require(guest.domain as? TimedDomain)
    return try #require((timed.domain as? LibvirtDomain)?.domain)
}
