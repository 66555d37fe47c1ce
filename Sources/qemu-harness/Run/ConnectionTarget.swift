// SPDX-License-Identifier: Apache-2.0

import Foundation
import Libvirt

/// Which libvirt runs the guest: the driver embedded in this program, or a daemon on this machine.
enum ConnectionTarget: Equatable {
    /// `qemu:///embed`: no daemon, no privileges, under the run's private root.
    case embedded
    /// `qemu:///session` or `qemu:///system`.
    case daemon(uri: String)

    /// libvirt's own variable for a default connection.
    static let variable = "LIBVIRT_DEFAULT_URI"

    /// Reads a libvirt URI.
    ///
    /// Throws a usage error for anything but QEMU on this machine: the guest's memory is read from files.
    init(uri: String, source: String) throws {
        guard let components = URLComponents(string: uri), let scheme = components.scheme else {
            throw HarnessError.usage("\(source) '\(uri)' is no libvirt URI, such as qemu:///session")
        }
        let (driver, transport) = (scheme.prefix { $0 != "+" }, scheme.drop { $0 != "+" }.dropFirst())
        guard driver == "qemu" else {
            throw HarnessError.usage(
                "\(source) '\(uri)' names the driver '\(driver)'; only 'qemu' runs ppc64 guests here")
        }
        guard components.host ?? "" == "", ["", "unix"].contains(transport) else {
            throw HarnessError.usage(
                "\(source) '\(uri)' is remote: the guest's memory is read from files, which have to be on this machine; "
                    + "run qemu-harness there")
        }
        switch components.path {
        case "/embed" where components.query == nil: self = .embedded
        case "/session", "/system": self = .daemon(uri: uri)
        default:
            throw HarnessError.usage(
                "\(source) '\(uri)' names '\(components.path)'; there are qemu:///embed, qemu:///session and "
                    + "qemu:///system")
        }
    }

    /// What `--connect` says, else what libvirt's variable says, else the embedded driver.
    init(option: String?, environment: [String: String]) throws {
        if let option {
            self = try ConnectionTarget(uri: option, source: "--connect")
        } else if let uri = environment[Self.variable], !uri.isEmpty {
            self = try ConnectionTarget(uri: uri, source: Self.variable)
        } else {
            self = .embedded
        }
    }

    /// Opens the connection.
    func open(root: EmbeddedRoot) async throws -> Connection {
        switch self {
        case .embedded: try await root.connect()
        case .daemon(let uri): try await Connection.open(uri: uri)
        }
    }

    /// Whom the daemon runs QEMU as. The embedded driver is not asked: it would probe every emulator for its answer,
    /// which takes seconds, and it runs QEMU as this user.
    func emulatorOwner(_ connection: Connection) async throws -> (user: UInt32, group: UInt32)? {
        switch self {
        case .embedded: nil
        case .daemon: try await connection.emulatorOwner()
        }
    }
}
