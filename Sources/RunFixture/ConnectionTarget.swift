// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import HarnessBasics
package import SystemPackage

/// Which libvirt runs the guest: the driver embedded in this program, or a daemon on this machine.
package enum ConnectionTarget: Equatable, Sendable {
    /// `qemu:///embed`: no daemon, no privileges, under the run's private root.
    case embedded
    /// `qemu:///session` or `qemu:///system`.
    case daemon(uri: String)

    /// libvirt's own variable for a default connection.
    package static let variable = "LIBVIRT_DEFAULT_URI"

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
    ///
    /// The variable may have been set for other programs: where it names what cannot run the guest, the embedded driver
    /// is taken, and `tell` is told why.
    package init(option: String?, environment: [String: String], tell: (String) -> Void) throws {
        if let option {
            self = try ConnectionTarget(uri: option, source: "--connect")
            return
        }
        self = .embedded
        guard let uri = environment[Self.variable], !uri.isEmpty else { return }
        do {
            self = try ConnectionTarget(uri: uri, source: Self.variable)
        } catch HarnessError.usage(let reason) {
            tell("\(reason); the embedded driver is taken instead")
        }
    }

    /// Where guests' memory lies (libvirt's memory_backing_dir), nil where that cannot be told.
    ///
    /// A daemon cannot be asked: its qemu.conf says, and without a word there it is the folder that libvirt was built with
    /// (src/qemu/qemu_conf.c, `virQEMUDriverConfigNew`).
    package func memoryFolder(environment: [String: String]) -> FilePath? {
        guard case .daemon(let uri) = self else { return RunFolders.standard.memory }
        let (settings, usual): (String, String)
        if URLComponents(string: uri)?.path == "/system" {
            (settings, usual) = ("/etc/libvirt/qemu.conf", "/var/lib/libvirt/qemu/ram")
        } else {
            // A daemon of root's is the system's, whatever it was asked for.
            guard geteuid() != 0,
                let home = environment["XDG_CONFIG_HOME"] ?? environment["HOME"].map({ $0 + "/.config" })
            else { return nil }
            (settings, usual) = (home + "/libvirt/qemu.conf", home + "/libvirt/qemu/ram")
        }
        guard FileManager.default.fileExists(atPath: settings) else { return FilePath(usual) }
        guard let text = try? String(contentsOf: URL(filePath: settings), encoding: .utf8) else { return nil }
        return FilePath(Self.memoryBackingFolder(settings: text) ?? usual)
    }

    /// What a qemu.conf says of it.
    static func memoryBackingFolder(settings: String) -> String? {
        let lines = settings.split(separator: "\n")
        return lines.compactMap { line in
            (try? /\s*memory_backing_dir\s*=\s*["']([^"']+)["'].*/.wholeMatch(in: line)).map { String($0.1) }
        }.last
    }
}
