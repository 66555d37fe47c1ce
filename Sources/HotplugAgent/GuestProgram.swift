// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory

/// A program that the agent runs: one of the tools that scripts/guest-tools puts into /tools, each with its own libraries
/// and the loader that finds them, or linked with what it needs.
enum GuestProgram {
    /// What a program writes to.
    enum Stream {
        /// Its standard output.
        case output
        /// Its standard error.
        case errors
    }

    /// `SIGKILL`.
    private static var killSignal: UInt64 { 9 }

    /// The status by which a loader that cannot load its program says so, and a process that cannot become it.
    private static var notFoundStatus: UInt64 { 127 }

    /// Runs a program of a tool's folder and waits for its end, so many milliseconds at most; then it is killed. Nil where it
    /// could not be started: nothing is known of what it would have done.
    ///
    /// `take` gets what the program writes as it comes. When it returns false, nothing more is read of that stream, and the
    /// program learns of it when it writes on (`EPIPE`).
    static func run(
        _ program: [UInt8], of tool: [UInt8], _ arguments: [[UInt8]], milliseconds: Int, system: some AgentSystem,
        take: (Stream, [UInt8]) -> Bool
    ) -> ProgramEnd? {
        let folder = bytes("/tools/") + tool
        let (loader, file) = (folder + bytes("/ld64.so.2"), folder + bytes("/") + program)
        var words = [file] + arguments
        if let descriptor = system.open(loader, .read) {
            system.close(descriptor)
            words = [loader, bytes("--library-path"), folder] + words
        }
        guard let running = system.start(words) else { return nil }
        let deadline = system.microseconds() + UInt64(milliseconds) * 1000
        var streams: [(stream: Stream, descriptor: Int)] = [(.output, running.output), (.errors, running.errors)]
        defer { for (_, descriptor) in streams { system.close(descriptor) } }
        var waiting = Waiting()
        var hasReadSinceWait = false
        while true {
            var hasRead = false
            for index in streams.indices.reversed() {
                let (stream, descriptor) = streams[index]
                let result = system.read(descriptor, byteCount: pieceByteCount)
                if case .nothingYet = result { continue }
                if case .bytes(let piece) = result {
                    hasRead = true
                    if take(stream, piece) { continue }
                }
                system.close(descriptor)
                streams.remove(at: index)
            }
            let now = system.microseconds()
            // A program that closed its streams and goes on has its time as well.
            if streams.isEmpty, let end = system.end(of: running.identifier, mayWait: false) {
                return end == .exited(notFoundStatus) ? nil : end
            }
            if now >= deadline {
                system.kill(running.identifier)
                // It may have ended by itself, and what it started holds its streams.
                let end = system.end(of: running.identifier, mayWait: true) ?? .timedOut
                return end == .killed(signal: killSignal) ? .timedOut : end
            }
            if hasRead {
                hasReadSinceWait = true
                continue
            }
            let rest = Int(min((deadline - now) / 1000 + 1, streams.isEmpty ? 5 : 1000))
            waiting.wait(
                for: streams.map { $0.descriptor }, milliseconds: rest, hasRead: hasReadSinceWait, system: system)
            hasReadSinceWait = false
        }
    }

    /// Room for a read, which is made anew for each; a page of 4 KiB and its header is what makedumpfile writes at once.
    private static var pieceByteCount: Int { 8192 }
}

/// A program that was started.
public struct RunningProgram: Equatable, Sendable {
    /// Its process.
    public let identifier: Int
    /// Where its standard output is read; a read with nothing there does not wait.
    public let output: Int
    /// Where its standard error is read, likewise.
    public let errors: Int

    /// Describes a program.
    public init(identifier: Int, output: Int, errors: Int) {
        self.identifier = identifier
        self.output = output
        self.errors = errors
    }
}
