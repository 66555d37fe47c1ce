// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
package import Libvirt
package import MemoryBackends
import RunFixture
import SystemPackage

/// A running domain of somebody else's, to be looked at and left as it is. Nothing is asked of its QEMU's monitor, since
/// libvirt would note that about the domain for good (`VIR_DOMAIN_TAINT_CUSTOM_MONITOR`).
package struct ForeignGuest: Sendable {
    private let domain: Domain
    private let isLocal: Bool

    /// Takes a domain.
    ///
    /// - Throws: `LibvirtError` where libvirt does not know it any more.
    package init(_ domain: Domain, connectedTo uri: String) {
        self.domain = domain
        // Of a remote machine neither processes nor files are here.
        isLocal = URLComponents(string: uri)?.host ?? "" == ""
    }

    /// Its name.
    package var name: String { domain.name }

    /// How its memory is read.
    package enum Access: Sendable {
        /// In its files where they are here and can be read, and else through libvirt.
        case best
        /// Through libvirt alone.
        case peek
    }

    /// Its memory at this moment.
    ///
    /// - Throws: `HarnessError` for another machine than a ppc64 one, and what libvirt says.
    package func memory(_ access: Access = .best) async throws -> [MemoryPiece] {
        let live = try await liveDomain()
        guard live.architecture.hasPrefix("ppc64") else {
            throw HarnessError.infrastructure(
                "domain \(name) is a machine of architecture '\(live.architecture.utf8.printable)', and not a ppc64 one"
            )
        }
        let files: [SharedMapping] =
            isLocal && access == .best
            ? await blocking { [uuid = domain.uuid] in
                QemuProcess.processID(ofDomain: uuid).map(SharedMapping.all(of:)) ?? []
            } : []
        var pieces: [MemoryPiece] = []
        func add(_ names: [String], base: UInt64, byteCount: UInt64) throws {
            let (end, overflows) = base.addingReportingOverflow(byteCount)
            guard !overflows, byteCount > 0 else { return }
            let file = files.first { file in
                file.byteCount >= byteCount && names.contains(file.path.lastComponent?.string ?? "")
            }
            pieces.append(
                MemoryPiece(
                    range: base..<end,
                    source: file.map { .file($0.path) }
                        ?? .hypervisor { [domain] in try domain.peek(at: $0, byteCount: $1) }))
        }
        // The names of files (qemuGetMemoryBackingPath, src/qemu/qemu_conf.c).
        var base: UInt64 = 0
        for (node, byteCount) in live.bootMemoryByNode.enumerated() {
            try add(["ram-node\(node)"] + (node == 0 ? ["ppc_spapr.ram"] : []), base: base, byteCount: byteCount)
            base += byteCount
        }
        for dimm in live.dimms { try add([dimm.alias], base: dimm.base, byteCount: dimm.byteCount) }
        return pieces
    }

    /// Has a body read its memory as it is at this moment, off the cooperative pool.
    ///
    /// - Throws: as ``memory(_:)`` and the body do, and `CancellationError`.
    package func read<Value: Sendable>(
        _ access: Access = .best, _ body: @escaping @Sendable (DumpMemory) throws -> Value
    ) async throws -> Value {
        let pieces = try await memory(access)
        return try await blocking { isCancelled in
            let memory = try DumpMemory(pieces, peekByteCount: Domain.peekByteLimit, isCancelled: isCancelled)
            let result = Result { try body(memory) }
            // What it has not read then it took for absent.
            if isCancelled() { throw CancellationError() }
            return try result.get()
        }
    }

    private func liveDomain() async throws -> LiveDomain {
        let xml = try await domain.liveXML()
        do {
            return try LiveDomain(xml: xml)
        } catch {
            throw HarnessError.infrastructure("what libvirt says of domain \(name) cannot be read: \(error)")
        }
    }

    /// Runs a body that is told whether the guest is at rest meanwhile. A guest that runs is paused where that is asked for,
    /// and goes on afterwards, however the body ends.
    package func held<Value: Sendable>(
        pausing: Bool, _ body: (_ isAtRest: Bool) async throws -> Value
    ) async throws -> Value {
        switch try await domain.state() {
        case .paused:
            return try await whileAtRest(body)
        case .running where pausing:
            try await domain.suspend()
            let result: Result<Value, any Error>
            do { result = .success(try await whileAtRest(body)) } catch { result = .failure(error) }
            do {
                if try await domain.state() == .paused { try await domain.resume() }
            } catch {
                throw HarnessError.infrastructure(
                    "domain \(name) was paused to be inspected, and does not run again: \(error)")
            }
            return try result.get()
        case .running:
            return try await body(false)
        case let state:
            throw HarnessError.infrastructure("domain \(name) does not run: its state is '\(state)'")
        }
    }

    private func whileAtRest<Value: Sendable>(_ body: (_ isAtRest: Bool) async throws -> Value) async throws -> Value {
        let value = try await body(true)
        guard try await domain.state() == .paused else {
            throw HarnessError.infrastructure("somebody has let domain \(name) run while it was inspected at rest")
        }
        return value
    }
}
