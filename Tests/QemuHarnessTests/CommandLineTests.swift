// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import OfflineCommands
import RunFixture
import RunRecord
import TestSupport
import Testing

@testable import Guests
@testable import Runs
@testable import qemu_harness

/// The program as a process: what it prints, and what it ends with.
@Suite struct CommandLineTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        try folder.write([1], to: "agent/initramfs-ppc64le.cpio.gz")
        try folder.write(elfHeader(), to: "vmlinux")
        try folder.write([], to: "work/.keep")
    }

    private struct Ending {
        let status: Int32
        let output: String
        let errors: String
    }

    /// Runs the program that was built beside the tests, in a folder of its own.
    private func run(
        _ arguments: [String], agent: String = "agent", environment: [String: String] = [:]
    ) throws -> Ending {
        let process = Process()
        process.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
            .deletingLastPathComponent().appending(path: "qemu-harness")
        process.arguments = arguments
        process.currentDirectoryURL = folder.url.appending(path: "work")
        process.environment = [
            "PATH": "/usr/bin:/bin", "HOME": folder.url.path, GuestImages.agentVariable: folder.path(agent),
        ].merging(environment) { $1 }
        let output = folder.url.appending(path: "stdout")
        let errors = folder.url.appending(path: "stderr")
        for file in [output, errors] { try Data().write(to: file) }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationReason == .exit)
        return Ending(
            status: process.terminationStatus, output: try String(contentsOf: output, encoding: .utf8),
            errors: try String(contentsOf: errors, encoding: .utf8))
    }

    /// libkdumpfile is not made for what anybody may write: 0.5.1 ends its process over some of these. It reads in another
    /// one than that which tells what came of it.
    @Test(arguments: [("KDUMP   ", "libkdumpfile"), ("makedumpfile\0\0\0\0", "flattened format")])
    func aCompressedDumpEndsNobody(beginning: String, words: String) throws {
        var generator = SystemRandomNumberGenerator()
        let noise = (0..<100_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let zeros = [UInt8](repeating: 0, count: 1 << 17)
        for rest in [[], Array(zeros.prefix(100)), zeros, noise] {
            let path = try folder.write(Array(beginning.utf8) + rest, to: "dump")
            let ending = try run(["inspect", path])
            #expect(ending.status == 2, "\(ending.errors)")
            #expect(ending.errors.contains("cannot inspect \(path): "), "\(ending.errors)")
            #expect(ending.errors.contains(words), "\(ending.errors)")
            #expect(ending.output.isEmpty)
        }
    }

    @Test(arguments: ["none", "folder"]) func whatIsNoDumpIsAUsersError(name: String) throws {
        try folder.write([], to: "folder/.keep")
        let ending = try run(["inspect", folder.path(name)])
        #expect(ending.status == 64)
        #expect(ending.errors.contains(folder.path(name)), "\(ending.errors)")
    }

    /// libvirt's test driver has a domain of that name.
    @Test func aDomainOfAnotherMachine() throws {
        let ending = try run(["inspect", "test", "--connect", "test:///default"])
        #expect(ending.status == 2)
        #expect(ending.errors.contains("domain test is a machine of architecture '"), "\(ending.errors)")
        let none = try run(["inspect", "none", "--connect", "test:///default", "--pause"])
        #expect(none.status == 64)
        #expect(none.errors.contains("there is no file none, and libvirt has no such domain"), "\(none.errors)")
    }

    @Test(arguments: [
        (["--memory", "300MiB"], "memory 300 MiB is no multiple of 256 MiB"),
        (["--plug", "100MiB"], "plug 100 MiB is no multiple of 256 MiB"),
        (["--memory", "1GB"], "1GB"), (["--cpu", "POWER7"], "no CPU model 'POWER7'"),
        (["--vcpus", "17"], "vcpus 17 is outside 1 to 16"), (["--slowdown", "0"], "--slowdown 0.0 is outside"),
        (["--append", "a\nb"], "append holds the character U+000A"), (["nonsense"], "no ready plan 'nonsense'"),
        (["prune", "--nonsense"], "--nonsense"),
        (["--qemu", "/nonexistent"], "--qemu /nonexistent is no program"),
        (["--qemu", "/etc"], "--qemu /etc is no program"), (["--qemu", "/etc/passwd"], "is no program"),
        (["doctor", "--qemu", "/nonexistent"], "--qemu /nonexistent is no program"),
        (["doctor", "nonsense"], "no ready plan 'nonsense'"),
        (["explain", "list-cylce"], "there is no finding 'list-cylce'; the nearest are list-cycle, "),
        (["explain", "--markdown", "--json"], "exclude each other"),
        (["explain", "--markdown", "list-cycle"], "--markdown is of all findings"),
    ])
    func aUsersErrorIs64(arguments: [String], message: String) throws {
        // The kernel is a good one, so that nothing but the argument is wrong.
        let isRun = arguments.first?.hasPrefix("--") == true
        let ending = try run(isRun ? ["--kernel", folder.path("vmlinux")] + arguments : arguments)
        #expect(ending.status == ExitStatus.usage)
        #expect(ending.errors.contains(message))
        #expect(ending.output == "")
        #expect(try left() == [])
    }

    /// A line feed in a path is no libvirt's: the console is to be there.
    @Test func aPathThatNoDomainCanNameIs64() throws {
        let ending = try run(["--kernel", folder.path("vmlinux"), "--runs-dir", "my\nruns"])
        #expect(ending.status == ExitStatus.usage)
        #expect(
            ending.errors
                == "qemu-harness: the path of --runs-dir holds the character U+000A, which XML for libvirt cannot carry\n"
        )
        #expect(try left() == [])
        try folder.write(elfHeader(), to: "work/new\nline/vmlinux")
        let kernel = try run(["--kernel", "new\nline/vmlinux"])
        #expect(kernel.status == ExitStatus.usage, "\(kernel.errors)")
        try FileManager.default.removeItem(atPath: folder.path("work/new\nline"))
    }

    /// LIBVIRT_DEFAULT_URI is there for other programs; the flag is not.
    @Test func aRemoteDefaultIsPassedOver() throws {
        let arguments = ["--kernel", folder.path("vmlinux"), "--dry-run"]
        let ending = try run(arguments, environment: [ConnectionTarget.variable: "qemu+ssh://host/system"])
        #expect(ending.status == 0)
        #expect(
            ending.errors.hasPrefix("qemu-harness: LIBVIRT_DEFAULT_URI 'qemu+ssh://host/system' is remote")
                && ending.errors.hasSuffix("; the embedded driver is taken instead\n"))
        let flag = try run(arguments + ["--connect", "qemu+ssh://host/system"])
        #expect(flag.status == ExitStatus.usage)
    }

    @Test(arguments: [
        ("/etc/passwd", "the kernel /etc/passwd is no ELF file"), ("nosuch", "no kernel 'nosuch'"),
        ("/nosuch/vmlinux", "cannot read the kernel /nosuch/vmlinux"),
    ])
    func aKernelThatIsNoneIs64(kernel: String, message: String) throws {
        let ending = try run(["--kernel", kernel])
        #expect(ending.status == ExitStatus.usage)
        #expect(ending.errors.hasPrefix("qemu-harness: \(message)"))
        #expect(try left() == [])
    }

    /// What is there instead of a file.
    enum Kind: String, CaseIterable {
        case fifo, device, folder
    }

    private func make(_ kind: Kind, at name: String) throws {
        let path = folder.path(name)
        switch kind {
        case .fifo: try #require(mkfifo(path, 0o600) == 0)
        // A terminal that nobody sits at: its reader would wait for ever.
        case .device: try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/dev/ptmx")
        case .folder: try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        }
    }

    /// A FIFO, a device or a folder in the place of a file makes nobody wait.
    @Test(arguments: Kind.allCases)
    func whatIsNoFileIsRefused(kind: Kind) throws {
        for name in ["odd", "odd.yaml", "plans-odd.yaml"] { try make(kind, at: name) }
        try FileManager.default.removeItem(atPath: folder.path("agent/initramfs-ppc64le.cpio.gz"))
        try make(kind, at: "agent/initramfs-ppc64le.cpio.gz")
        let plans = [ReadyPlans.variable: folder.url.path]
        for (arguments, status, message) in [
            (["--kernel", folder.path("odd")], ExitStatus.usage, "cannot read the kernel "),
            ([folder.path("odd.yaml")], ExitStatus.usage, "cannot read the plan "),
            (["plan", "validate", "plans-odd"], ExitStatus.usage, "cannot read the plan "),
            (["plan", "list"], ExitStatus.usage, "cannot read the plan "),
            (["emulate", "--progress", "none", "--write", folder.path("odd")], ExitStatus.usage, "cannot write "),
            (["--kernel", folder.path("vmlinux")], ExitStatus.infrastructure, "cannot read the agent "),
        ] {
            let ending = try run(arguments, environment: plans)
            #expect(ending.status == status, "\(arguments): \(ending.errors)")
            #expect(ending.errors.contains("qemu-harness: \(message)"), "\(ending.errors)")
        }
        guard kind != .folder else { return }
        let verification = try run(["verify", folder.path("odd")])
        #expect(verification.status == ExitStatus.infrastructure)
        #expect(verification.errors.contains("is no regular file"), "\(verification.errors)")
    }

    /// To git bisect, what says nothing about a kernel is one code, whatever it is otherwise.
    @Test(arguments: [
        ["--bisect", "--memory", "300MiB"], ["--bisect", "--nonsense"], ["--bisect", "--cpu", "POWER7"],
        ["run", "--bisect", "--help"], ["--bisect", "--version"], ["--bisect", "--dry-run"], ["--bisect=yes"],
        ["--bisect", "--kernel", "/nosuch/vmlinux"], ["verify", "--bisect", "/nosuch"], ["--bisect", "no-such-plan"],
        ["--bisect", "--runs-dir", "/proc/nonexistent/runs"],
    ])
    func aBisectionSkipsWhatItCannotTest(arguments: [String]) throws {
        let kernel = arguments.contains("--kernel") ? [] : ["--kernel", folder.path("vmlinux")]
        let ending = try run(arguments + (arguments.first == "verify" ? [] : kernel))
        #expect(ending.status == 125, "\(ending.errors)")
        #expect(ending.errors != "")
        #expect(ending.output == "")
    }

    @Test func aMissingAgentIs2() throws {
        try FileManager.default.removeItem(atPath: folder.path("agent/initramfs-ppc64le.cpio.gz"))
        let ending = try run(["--kernel", folder.path("vmlinux"), "--dry-run"])
        #expect(ending.status == ExitStatus.infrastructure)
        #expect(ending.errors.hasPrefix("qemu-harness: no agent at "))
    }

    /// Only findings end with 1, so whatever nobody thought of must not.
    @Test func anErrorThatNobodyThoughtOfIs2() throws {
        try folder.write([1], to: "ag\u{1}ent/initramfs-ppc64le.cpio.gz")
        let ending = try run(["--kernel", folder.path("vmlinux"), "--dry-run"], agent: "ag\u{1}ent")
        #expect(ending.status == ExitStatus.infrastructure)
        #expect(
            ending.errors == "qemu-harness: <initrd> holds the character U+0001, which XML for libvirt cannot carry\n")
    }

    @Test func versionAndHelpAre0() throws {
        let version = try run(["--version"])
        #expect(version.status == 0)
        #expect(version.output == "\(Program.version)\n")
        for arguments in [["--help"], ["run", "--help"], ["help", "prune"]] {
            let help = try run(arguments)
            #expect(help.status == 0)
            #expect(help.output.contains("USAGE: qemu-harness"))
            #expect(help.errors == "")
        }
        #expect(try left() == [])
    }

    @Test(arguments: [
        ([], "- verify\n- plug: 1GiB\n- verify\n"),
        (
            ["--plug", "256MiB", "--plug", "2GiB", "--append", "quiet", "--unplug", "2"],
            "- verify\n- plug: 256MiB\n- verify\n- plug: 2GiB\n- verify\n- unplug: 2\n- verify\n"
        ),
    ])
    func aDryRunPrintsThePlanAndLeavesNothing(arguments: [String], steps: String) throws {
        let ending = try run(["--kernel", folder.path("vmlinux"), "--dry-run"] + arguments)
        #expect(ending.status == 0)
        #expect(ending.errors == "")
        #expect(ending.output.contains("<domain "))
        #expect(ending.output.contains("<kernel>\(folder.path("vmlinux"))</kernel>"))
        #expect(ending.output.contains("<initrd>\(folder.path("agent/initramfs-ppc64le.cpio.gz"))</initrd>"))
        #expect(ending.output.contains("</domain>\n\ndescription: As the command line says.\n"))
        #expect(ending.output.hasSuffix("steps:\n" + steps))
        #expect(try left() == [])
        // What it prints behind the domain is a plan, and the same one.
        let plan = try #require(ending.output.range(of: "description:").map { ending.output[$0.lowerBound...] })
        try folder.write(Array(plan.utf8), to: "plan.yaml")
        let again = try run(["run", folder.path("plan.yaml"), "--dry-run"])
        #expect(again.output == ending.output)
        try FileManager.default.removeItem(atPath: folder.path("plan.yaml"))
    }

    @Test func plansAreListedAndValidated() throws {
        let list = try run(["plan", "list"])
        #expect(list.status == 0)
        let plans = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../plans").path
        let names = try FileManager.default.contentsOfDirectory(atPath: plans)
            .sorted { $0.prefix { $0 != "." } < $1.prefix { $0 != "." } }
        #expect(list.output.split(separator: "\n").allSatisfy { $0.count <= 80 })
        let listed = list.output.split(separator: "\n").filter { !$0.hasPrefix(" ") }
            .map { $0.prefix { $0 != " " } + ".yaml" }
        #expect(listed.map { String($0) } == names)
        let entries = try JSONDecoder().decode(
            [[String: String]].self, from: Data(run(["plan", "list", "--json"]).output.utf8))
        #expect(entries.map { $0["name"].map { $0 + ".yaml" } } == names)
        #expect(entries.allSatisfy { $0["description"]?.isEmpty == false })
        let valid = try run(["plan", "validate", "first-light", "many-dimms"])
        #expect(valid.status == 0)
        #expect(valid.output == "first-light: valid\nmany-dimms: valid\n")
        try folder.write(Array("description: d\nsteps: [verfy]\n".utf8), to: "work/bad.yaml")
        let invalid = try run(["plan", "validate", "bad.yaml", "first-light"])
        #expect(invalid.status == ExitStatus.usage)
        #expect(invalid.output == "first-light: valid\n")
        #expect(invalid.errors.contains("bad.yaml:2:9: no step 'verfy'; there are verify, reboot"))
    }

    @Test func aFindingIsExplained() throws {
        let ending = try run(["explain", "list-cycle"])
        #expect(ending.status == 0)
        #expect(ending.output.hasPrefix("list-cycle: a link leads back into the list\n"))
        #expect(ending.errors == "")
        let list = try run(["explain"])
        #expect(list.status == 0)
        #expect(list.output.contains("\nmirror-wrong-phys "))
    }

    /// What is shown is a plan, and the same one.
    @Test func aPlanIsShownAsItIsUnderstood() throws {
        let shown = try run(["plan", "show", "unplug-replug"])
        #expect(shown.status == 0)
        try folder.write(Array(shown.output.utf8), to: "work/shown.yaml")
        #expect(try run(["plan", "show", "shown.yaml"]).output == shown.output)
        #expect(shown.output.contains("  - unplug: "))
        #expect(try run(["plan", "show", "no-such"]).status == ExitStatus.usage)
    }

    @Test func theHelpOfARunSaysItsExitCodes() throws {
        let help = try run(["run", "--help"])
        #expect(help.status == 0)
        for code in ["0 everything", "1 there", "2 libvirt", "4 ", "64 wrong", "130 interrupted", "143 terminated"] {
            #expect(help.output.contains(code))
        }
        #expect(help.output.components(separatedBy: "\n  qemu-harness run ").count == 4)
    }

    /// What the program left where it ran and in its home.
    private func left() throws -> [String] {
        let work = try FileManager.default.contentsOfDirectory(atPath: folder.path("work")).filter { $0 != ".keep" }
        return work + (try folder.names().filter { !["agent", "vmlinux", "work", "stdout", "stderr"].contains($0) })
    }
}
