// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser
import Foundation
import GuestMemory
import HarnessBasics
package import Inspection
package import KernelState
package import MemoryBackends
import RunRecord
import SystemPackage

/// What `inspect` is asked for, and what it does with a dump or a run's record.
package struct InspectOptions: ParsableArguments, Sendable {
    /// Options that are not parsed yet.
    package init() {}

    @Argument(
        help: ArgumentHelp("A dump, a run's directory, or a domain's name or UUID.", valueName: "file|run|domain"))
    package var path: String

    @Option(
        help: ArgumentHelp(
            "The kernel's file, for symbols that the note lacks, and for the list's free nodes.", valueName: "path"))
    var vmlinux: String?

    @Option(
        help: ArgumentHelp("Where the memory of a raw image begins, a guest physical address.", valueName: "address"),
        transform: InspectOptions.address)
    var base: UInt64?

    @Flag(help: "Print every entry of the kernel's account.")
    var list = false

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            """
            Say of each address where it leads: of one in the memory map its physical address, of a physical one where its \
            struct page is.
            """, valueName: "address"),
        transform: InspectOptions.address)
    var translate: [UInt64] = []

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Say of each page frame where its struct page is, and what of it VMCOREINFO lets be read.", valueName: "pfn"
        ),
        transform: InspectOptions.address)
    var pages: [UInt64] = []

    @Flag(
        help: """
            Judge the struct pages of online memory, as a run does: one in each 4 KiB of the memory map, which is read whole.
            """)
    var structPages = false

    @Option(
        help: ArgumentHelp(
            "Write a dump of the pages that were read, and nothing else: a new file to send to somebody.",
            valueName: "path"))
    var reduce: String?

    @Flag(help: "Print JSON.")
    var json = false

    @Flag(help: "Print the entries as CSV.")
    var csv = false

    package func validate() throws {
        if csv, json || !translate.isEmpty || !pages.isEmpty { throw ValidationError("--csv is for the entries alone") }
    }

    /// Whether there is a file or a folder of that name.
    package var namesFile: Bool { FileManager.default.fileExists(atPath: path) }

    /// Reads a dump or a record, prints, and ends with the exit code that follows.
    package func inspectFile() throws {
        let status: Int32
        switch try memory() {
        case .dump(let file):
            let path = FilePath(file.path)
            if base == nil, DumpMemory.isLibrarys(path), let apart = try runApart() {
                status = apart
            } else {
                status = try print(try inspection(of: path))
            }
        case .snapshot(let snapshot, let file):
            guard reduce == nil, base == nil, vmlinux == nil, pages.isEmpty, !structPages else {
                throw HarnessError.usage(
                    "--pages, --struct-pages, --reduce, --base and --vmlinux are for dumps; \(path) has none")
            }
            status = try print(try Inspection(of: snapshot, source: file.lastPathComponent))
        }
        if status != ExitStatus.passed { throw ExitCode(status) }
    }

    /// Refuses what is said of files alone.
    package func expectDomain(isAtRest: Bool) throws {
        guard base == nil else { throw HarnessError.usage("--base is for raw images; \(path) is a domain") }
        guard reduce == nil || isAtRest else {
            throw HarnessError.usage("--reduce needs a guest at rest: --pause, or a domain that is paused")
        }
        guard !structPages || isAtRest else {
            throw HarnessError.usage("--struct-pages needs a guest at rest: --pause, or a domain that is paused")
        }
    }

    /// The kernel's note, in a dump or in the memory of a domain.
    package func note(of memory: DumpMemory) throws -> KernelNote {
        try telling(of: memory) { try KernelNote(of: memory) }
    }

    /// Reads a dump, or the memory of a domain.
    package func inspection(of memory: DumpMemory, note: KernelNote) throws -> Inspection {
        try telling(of: memory) {
            try Inspection(
                of: memory, note: note, image: vmlinux.map { FilePath($0) }, frames: pages,
                surveyingStructPages: structPages, reducingTo: reduce.map { FilePath($0) })
        }
    }

    /// Tells how much is read, where that takes long.
    private func telling<Value>(of memory: DumpMemory, _ body: () throws -> Value) throws -> Value {
        let progress = InspectionProgress()
        memory.onRead = progress.report
        defer { progress.end() }
        return try body()
    }

    /// Prints what was read of a domain, and ends with the exit code that follows.
    package func show(_ inspection: Inspection) throws {
        let status = try print(inspection)
        if status != ExitStatus.passed { throw ExitCode(status) }
    }

    /// What there is to inspect.
    private func memory() throws -> RecordedMemory {
        let url = URL(filePath: path)
        var isDirectory: ObjCBool = false
        // SAFETY: the flag lives for the length of the call, which fills it in.
        guard unsafe FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
            throw HarnessError.usage("no dump at \(path): there is no such file or directory")
        }
        guard isDirectory.boolValue else { return .dump(url) }
        guard let memory = try RecordedMemory(newestIn: url) else {
            throw HarnessError.usage("\(path) is no run's directory, or has neither a dump nor a snapshot")
        }
        return memory
    }

    private func inspection(of file: FilePath) throws -> Inspection {
        do {
            let dump = try DumpMemory(file, base: base.map(PhysicalAddress.init))
            return try inspection(of: dump, note: note(of: dump))
        } catch {
            throw HarnessError.infrastructure("cannot inspect \(file): \(error)")
        }
    }

    private func print(_ inspection: Inspection) throws -> Int32 {
        let report = InspectionReport(
            inspection: inspection, path: path, listsEntries: list || csv, translated: translate)
        let text = csv ? report.csv : json ? try report.json() : report.text
        try? FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
        return inspection.outcome.exitCode()
    }

    // MARK: - Apart

    /// Set for the process that reads what may end it.
    private static let apartVariable = "QEMU_HARNESS_INSPECTS_APART"

    /// Has another process of this program inspect the dump, and returns its exit code; nil in that process. What is in a
    /// file can end the process of the library that reads it.
    private func runApart() throws -> Int32? {
        var environment = ProcessInfo.processInfo.environment
        guard environment.updateValue("1", forKey: Self.apartVariable) == nil else {
            Self.limitItself()
            return nil
        }
        // Its end is told here, in a line.
        environment["SWIFT_BACKTRACE"] = "enable=no"
        let process = Process()
        process.executableURL = Program.executable
        process.arguments = Array(CommandLine.arguments.dropFirst())
        process.environment = environment
        try process.run()
        process.waitUntilExit()
        guard process.terminationReason == .exit else {
            throw HarnessError.infrastructure(
                "cannot inspect \(path): the process that read it with libkdumpfile was ended by signal \(process.terminationStatus)"
            )
        }
        return process.terminationStatus
    }

    /// The most memory, in bytes, and the most time, in seconds of a processor, that such a process has.
    private static let (apartByteLimit, apartSecondLimit): (rlim_t, rlim_t) = (16 << 30, 900)

    private static func limitItself() {
        for (resource, value) in [(RLIMIT_AS, apartByteLimit), (RLIMIT_CPU, apartSecondLimit)] {
            var limit = rlimit(rlim_cur: value, rlim_max: value)
            // SAFETY: the limit lives for the length of the call.
            _ = unsafe setrlimit(__rlimit_resource_t(resource.rawValue), &limit)
        }
    }

    private static func address(_ text: String) throws -> UInt64 {
        let number = text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
        guard let number else {
            throw ValidationError("'\(text)' is no number: write 0x and hexadecimal digits, or decimal ones")
        }
        return number
    }
}
