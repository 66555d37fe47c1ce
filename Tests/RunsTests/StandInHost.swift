// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guests
import MemoryBackends
import RunFixture
import Synchronization
import SystemPackage

@testable import Libvirt

/// Where a run's guest is a stand-in machine: what ``RunFixture`` is with libvirt and QEMU.
///
/// Everything lies in a folder of the caller's, but the shared region, whose name the run's ID gives.
final class StandInHost: GuestHost {
    /// How it was ended.
    enum Ending: Equatable, Sendable {
        case removed(hasGuestEnded: Bool)
        case kept
    }

    private struct State {
        var regionByteCount: UInt64 = 0
        var dumpByteCount: UInt64 = 0
        var machine: StandInMachine?
        var endings: [Ending] = []
    }

    let id = RunID.random()
    let controlSocket: FilePath
    private let folder: FilePath
    private let flaw: StandInKernel.Flaw?
    private let hasKprobes: Bool
    private let state = Mutex(State())

    /// A host that keeps what a guest needs in a folder.
    init(in folder: URL, flaw: StandInKernel.Flaw? = nil, hasKprobes: Bool = false) {
        self.folder = FilePath(folder.path)
        self.flaw = flaw
        self.hasKprobes = hasKprobes
        controlSocket = self.folder.appending("control.sock")
    }

    /// How it was ended, each time.
    var endings: [Ending] { state.withLock { $0.endings } }

    func open(libvirtLog: FilePath?) async throws {}

    func libvirtVersion() throws -> String { "no libvirt" }

    func validate(domain xml: String, devices: [String]) async throws {}

    func makeSharedRegionFile(byteCount: UInt64) async throws {
        let descriptor = try FileDescriptor.open(
            id.sharedRegionFile, .readWrite, options: [.create, .exclusiveCreate], permissions: [.ownerReadWrite])
        try descriptor.closeAfter { try descriptor.resize(to: Int64(byteCount)) }
        state.withLock { $0.regionByteCount = byteCount }
    }

    func makeDumpAreaFile(byteCount: UInt64) async throws {
        let descriptor = try FileDescriptor.open(
            id.dumpAreaFile, .readWrite, options: [.create, .exclusiveCreate], permissions: [.ownerReadWrite])
        try descriptor.closeAfter { try descriptor.resize(to: Int64(byteCount)) }
        state.withLock { $0.dumpByteCount = byteCount }
    }

    func makeInitramfs(_ content: Data) async throws {
        try content.write(to: URL(filePath: folder.appending("initramfs").string))
    }

    func start(domain xml: String) async throws -> any GuestDomain {
        guard let domain = ParsedElement.root(of: xml), let name = domain.child("name")?.text,
            let bootByteCount = domain.child("memory").flatMap({ UInt64($0.text) }),
            let maximumByteCount = domain.child("maxMemory").flatMap({ UInt64($0.text) }),
            let console = domain.child("devices")?.child("serial")?.child("source")?.attributes["path"]
        else { throw DomainXMLError.malformed("it has no name, console, memory or maximum memory in bytes") }
        let (regionByteCount, dumpByteCount) = state.withLock { ($0.regionByteCount, $0.dumpByteCount) }
        let dumpArea =
            dumpByteCount == 0
            ? nil : try MappedFile(id.dumpAreaFile, byteCount: dumpByteCount, isWritable: true).words
        let machine = try StandInMachine(
            memory: try StandInMemory(in: folder, bootByteCount: bootByteCount, maximumByteCount: maximumByteCount),
            controlSocket: controlSocket, console: FilePath(console),
            region: try MappedFile(id.sharedRegionFile, byteCount: regionByteCount, isWritable: true).words,
            dumpArea: dumpArea, flaw: flaw, hasKprobes: hasKprobes)
        state.withLock { $0.machine = machine }
        machine.start()
        return StandInDomain(machine: machine, name: name)
    }

    func remove() async -> RunFixture.Removal {
        let machine = state.withLock { state in
            state.endings.append(.removed(hasGuestEnded: state.machine.map { $0.end != nil } ?? true))
            return state.machine
        }
        machine?.requestEnd(.destroyed)
        var removal = RunFixture.Removal()
        for file in [id.sharedRegionFile, id.dumpAreaFile, controlSocket]
        where FileManager.default.fileExists(atPath: file.string) {
            do {
                try FileManager.default.removeItem(atPath: file.string)
                removal.removed.append(file.string)
            } catch {
                removal.failures.append((file.string, error))
            }
        }
        return removal
    }

    func keep() throws { state.withLock { $0.endings.append(.kept) } }

    func killGuests() { state.withLock { $0.machine }?.requestEnd(.destroyed) }
}
