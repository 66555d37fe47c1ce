// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Guests
import HarnessBasics
import Inspection
import KernelState
import Libvirt
import MemoryBackends
import OfflineCommands
import RunFixture
import Runs

/// `inspect`: reads and judges a kernel's memory map in a dump, in what a run has recorded of it, or in a running guest.
struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Read and judge a kernel's memory map in a dump, or in a guest of somebody else's.",
        discussion: """
            Takes an ELF core dump (kdump's /proc/vmcore, or QEMU's and libvirt's of a guest), one of makedumpfile's compressed \
            dumps, a raw image of RAM (--base), or a run's directory: its newest dump, else its newest snapshot. Needs no debug \
            symbols: a VMCOREINFO note is in the dump, or in the memory that it holds.

            What is no file is a running ppc64 domain's name or UUID. Its memory is read in its files where they are here and can be \
            read, and else through libvirt. It is read again until two readings in a row agree; --pause has it stand still instead. \
            Nothing is written to it, and its QEMU's monitor is not used.

            Exit codes: 0 nothing is wrong; 1 there are findings; 2 the file cannot be read as a dump, or is not of such a \
            kernel, or the domain cannot be read; 4 something is unsaid; 64 wrong use; 130, 143 interrupted.
            """
    )

    @OptionGroup var options: InspectOptions

    @Option(
        help: ArgumentHelp(
            "The libvirt that has the domain. (default: libvirt's own)", valueName: "uri"))
    var connect: String?

    @Flag(help: "Pause the domain while it is read; it goes on afterwards.")
    var pause = false

    func run() async throws {
        if connect == nil, options.namesFile {
            guard !pause else { throw HarnessError.usage("--pause is for domains; \(options.path) is a file") }
            return try options.inspectFile()
        }
        let (options, connect, pause) = (options, connect, pause)
        let inspection = try await Interrupts.watching { interrupts in
            do {
                return try await Self.inspection(options, connect: connect, pausing: pause)
            } catch {
                // However the reading has ended then.
                if let code = interrupts.exitCode { throw ExitCode(code) }
                if error is HarnessError { throw error }
                throw HarnessError.infrastructure("cannot inspect domain \(options.path): \(error)")
            }
        }
        try options.show(inspection)
    }

    private static func inspection(
        _ options: InspectOptions, connect: String?, pausing: Bool
    ) async throws -> Inspection {
        let guest = try await Self.guest(options, connect: connect)
        return try await guest.held(pausing: pausing) { isAtRest in
            try options.expectDomain(isAtRest: isAtRest)
            let note = try await guest.read { try options.note(of: $0) }
            func reading() async throws -> Inspection {
                try await guest.read { try options.inspection(of: $0, note: note) }
            }
            return isAtRest ? try await reading() : try await Inspection.settled(reading)
        }
    }

    /// The domain; an error of the user's where there is none of that name, nor anybody who was said to have one.
    private static func guest(_ options: InspectOptions, connect: String?) async throws -> ForeignGuest {
        let nothing = options.namesFile ? "" : "there is no file \(options.path), and "
        let connection: Connection
        do {
            connection = try await Connection.open(uri: connect)
        } catch {
            guard connect == nil else { throw error }
            throw HarnessError.usage("\(nothing)no libvirt that would have such a domain: \(error)")
        }
        do {
            return try await ForeignGuest(connection.domain(named: options.path), connectedTo: connection.uri())
        } catch {
            throw HarnessError.usage("\(nothing)libvirt has no such domain: \(error)")
        }
    }
}
