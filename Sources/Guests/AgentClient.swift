// SPDX-License-Identifier: Apache-2.0

package import AgentProtocol
import HarnessBasics
import RunRecord

/// The agent of a guest, as the harness talks to it: requests and their answers, one after the other.
package actor AgentClient {
    private let channel: AgentChannel
    private let watch: MachineWatch
    private let timeouts: Timeouts
    private let events: RunEvents
    /// Whether an agent is up: another hello is that of a guest which has started anew.
    package private(set) var isUp = false

    init(_ channel: AgentChannel, watch: MachineWatch, timeouts: Timeouts, events: RunEvents) {
        self.channel = channel
        self.watch = watch
        self.timeouts = timeouts
        self.events = events
    }

    /// Starts to listen; called once.
    func start() async { await channel.start() }

    /// Ends the connection.
    func close() async { await channel.close() }

    /// What was wrong with the guest's lines, nil when nothing was.
    func complaint() async -> String? { await channel.complaint() }

    // MARK: - Hello

    /// Waits for an agent's hello.
    func waitForHello() async throws -> Hello {
        guard let (line, missing) = try await waitForBeginning() else {
            throw HarnessError.infrastructure("the agent has not said hello within \(timeouts.boot)")
        }
        if let missing {
            throw HarnessError.infrastructure("the agent cannot work in this guest: it has no \(missing)")
        }
        return try Hello(line)
    }

    /// What a dump-capture kernel's agent begins with.
    enum CaptureBeginning {
        /// It can read the dump.
        case hello(CaptureHello)
        /// It lacks what it needs for that.
        case lacks(String)
        /// It has not said anything in its time.
        case silent(Duration)
    }

    /// Waits for the agent of a dump-capture kernel.
    func waitForCapture() async throws -> CaptureBeginning {
        guard let (line, missing) = try await waitForBeginning() else { return .silent(timeouts.boot) }
        if let missing { return .lacks(missing) }
        return .hello(try CaptureHello(line))
    }

    /// Waits for an agent's first line, a hello or what is missing for one; nil when none comes in its time.
    private func waitForBeginning() async throws -> (line: ControlLine, missing: String?)? {
        isUp = false
        let beginning = try await waitUntil(within: timeouts.boot) {
            () async throws -> (line: ControlLine, missing: String?)? in
            try await checkAlive()
            while let line = await channel.takeAnnouncement() {
                if line.has(verb: "hello") { return (line, nil) }
                try note(line)
                if let missing = line.text("missing") { return (line, String(decoding: missing, as: UTF8.self)) }
            }
            return nil
        }
        isUp = beginning?.missing == nil && beginning != nil
        return beginning
    }

    /// Throws when QEMU has ended, when the guest has started anew, or when it says more than it may.
    package func checkAlive() async throws {
        try await watch.checkAlive()
        if await channel.isFlooded() {
            throw HarnessError.infrastructure(
                "the guest has written more than \(AgentInbox.unaskedByteLimit) bytes to the control channel that nobody "
                    + "asked for")
        }
        guard isUp else { return }
        while let line = await channel.takeAnnouncement() {
            try note(line)
            if line.has(verb: "hello") {
                throw HarnessError.infrastructure("the guest has started anew: its agent said hello a second time")
            }
        }
    }

    private func note(_ announcement: ControlLine) throws {
        try events.note(
            .agentAnnounced(line: String(decoding: announcement.encoded.dropLast().prefix(400), as: UTF8.self)))
    }

    // MARK: - Requests

    /// Asks for a reboot; the next hello is that of another kernel's agent.
    func reboot() async throws {
        _ = try await ask("reboot")
        isUp = false
    }

    /// Crashes the guest's kernel; the next hello is that of a dump-capture kernel's agent.
    func crash() async throws {
        _ = try await ask("crash")
        isUp = false
    }

    /// The guest's kernel is about to crash otherwise.
    func expectCrash() { isUp = false }

    /// What came of loading a crash kernel.
    package enum CrashKernelLoad: Equatable {
        /// It is loaded; whether the kernel keeps its header true while memory comes and goes (crash hotplug).
        case loaded(isKeptTrue: Bool)
        /// kexec or the kernel refused it, in these words.
        case refused(String)
    }

    /// Loads the crash kernel with a command line, or loads it again.
    func loadCrashKernel(commandLine: String) async throws -> CrashKernelLoad {
        let request = ControlLine(identifier: 0, verb: "load-crash-kernel")
            .with("append", encoding: Array(commandLine.utf8))
        guard request.encoded.count <= ControlLine.maximumByteCount else {
            throw HarnessError.usage("the crash kernel's command line is longer than a line to the agent can be")
        }
        let answer = try await answer(to: request, within: timeouts.plug)
        if answer.has(verb: "ok") { return .loaded(isKeptTrue: answer.number("crash-hotplug") == 1) }
        guard answer.text("reason")?.elementsEqual("kexec".utf8) == true else {
            let reason = String(decoding: answer.text("reason") ?? [], as: UTF8.self)
            throw HarnessError.infrastructure("the agent cannot do 'load-crash-kernel': \(reason)")
        }
        let end = ProgramEnd(answer)?.text ?? "it is not said how it ended"
        let output = (answer.bytes("output") ?? []).prefix(400).printable
        return .refused("kexec: \(end)\(output.isEmpty ? "" : ": \(output)")")
    }

    /// Has the agent of a dump-capture kernel read the dump into the shared region; its answer, or why it cannot.
    func readDump() async throws -> (line: ControlLine, refusal: String?) {
        let answer = try await answer(to: ControlLine(identifier: 0, verb: "report"), within: timeouts.answer)
        if answer.has(verb: "ok") { return (answer, nil) }
        return (answer, String(decoding: answer.text("reason") ?? [], as: UTF8.self))
    }

    /// Has the agent of a dump-capture kernel run a tool that writes a dump into the dump area, for a time at most.
    func dump(_ tool: String) async throws -> DumpAnswer {
        let seconds = UInt64(max(1, min(3600, timeouts.dump.components.seconds)))
        let request = ControlLine(identifier: 0, verb: "dump").with("tool", encoding: Array(tool.utf8))
            .with("level", DumpAnswer.level).with("seconds", seconds)
        let answer = try await answer(to: request, within: timeouts.dump + timeouts.answer)
        guard answer.has(verb: "ok") else {
            let reason = String(decoding: answer.text("reason") ?? [], as: UTF8.self)
            throw HarnessError.infrastructure("the dump-capture kernel's agent cannot do 'dump': \(reason)")
        }
        return try DumpAnswer(answer)
    }

    /// Sends a request to the agent and waits for it to be done.
    package func ask(_ verb: StaticString) async throws -> ControlLine {
        let answer = try await answer(to: ControlLine(identifier: 0, verb: verb), within: timeouts.answer)
        guard answer.has(verb: "ok") else {
            let reason = String(decoding: answer.text("reason") ?? [], as: UTF8.self)
            throw HarnessError.infrastructure("the agent cannot do '\(verb)': \(reason)")
        }
        return answer
    }

    /// Sends a request to the agent and waits for its answer, which may be an error.
    private func answer(to request: ControlLine, within limit: Duration) async throws -> ControlLine {
        try await checkAlive()
        let identifier = try await channel.send(request)
        let answer = try await waitUntil(within: limit) { () async throws -> ControlLine? in
            if let answer = await channel.takeAnswer(to: identifier) { return answer }
            try await checkAlive()
            return nil
        }
        guard let answer else {
            let verb = String(decoding: request.verb, as: UTF8.self)
            throw HarnessError.infrastructure("the agent has not answered '\(verb)' within \(limit)")
        }
        return answer
    }

    // MARK: - Actions

    /// The most that is read of a guest's file.
    package static let contentByteLimit = 64 << 10

    /// Has the agent do something. Throws only when it does not answer, or answers nonsense.
    func perform(_ action: GuestAction) async throws -> GuestActionResult {
        guard case .read = action else {
            let (result, answer) = try await settled(action.request)
            guard case .done = result, let name = action.numberName else { return result }
            guard let number = answer.number(name) else {
                let verb = String(decoding: action.request.verb, as: UTF8.self)
                throw HarnessError.infrastructure("the agent has answered '\(verb)' without a valid '\(name)'")
            }
            return .done(number: number)
        }
        var content: [UInt8] = []
        while true {
            let (result, answer) = try await settled(action.request.with("offset", UInt64(content.count)))
            guard case .done = result else { return result }
            guard let piece = answer.bytes("content") else {
                throw HarnessError.infrastructure("the agent has answered 'read' without content")
            }
            if piece.isEmpty { return .read(content: content, isWhole: true) }
            content += piece
            guard content.count <= Self.contentByteLimit else {
                return .read(content: Array(content.prefix(Self.contentByteLimit)), isWhole: false)
            }
        }
    }

    private func settled(_ request: ControlLine) async throws -> (result: GuestActionResult, answer: ControlLine) {
        let verb = String(decoding: request.verb, as: UTF8.self)
        guard request.encoded.count <= ControlLine.maximumByteCount else {
            throw HarnessError.usage("what is to be told to the guest is longer than a line to the agent can be")
        }
        // The kernel moves and frees memory before it answers.
        let answer = try await answer(to: request, within: timeouts.plug)
        if answer.has(verb: "ok") { return (.done(number: nil), answer) }
        guard answer.text("reason")?.elementsEqual("refused".utf8) == true, let number = answer.number("errno"),
            let errno = Int32(exactly: number)
        else {
            let reason = String(decoding: answer.text("reason") ?? [], as: UTF8.self)
            throw HarnessError.infrastructure("the agent cannot do '\(verb)': \(reason)")
        }
        return (.refused(errno: errno, number: answer.number("number")), answer)
    }
}
