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
    private var isUp = false

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
        isUp = false
        let heard = try await waitUntil(within: timeouts.boot) { () async throws -> Hello? in
            try await checkAlive()
            while let line = await channel.takeAnnouncement() {
                if line.has(verb: "hello") { return try Hello(line) }
                try note(line)
                if let missing = line.text("missing") {
                    throw HarnessError.infrastructure(
                        "the agent cannot work in this guest: it has no \(String(decoding: missing, as: UTF8.self))")
                }
            }
            return nil
        }
        guard let heard else {
            throw HarnessError.infrastructure("the agent has not said hello within \(timeouts.boot)")
        }
        isUp = true
        return heard
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
        guard case .read = action else { return try await settled(action.request).result }
        var content: [UInt8] = []
        while true {
            let (result, answer) = try await settled(action.request.with("offset", UInt64(content.count)))
            guard case .done = result else { return result }
            guard let piece = answer.bytes("content") else {
                throw HarnessError.infrastructure("the agent has answered 'read' without content")
            }
            if piece.isEmpty { return .done(content: content, isWhole: true) }
            content += piece
            guard content.count <= Self.contentByteLimit else {
                return .done(content: Array(content.prefix(Self.contentByteLimit)), isWhole: false)
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
        if answer.has(verb: "ok") { return (.done(content: [], isWhole: true), answer) }
        guard answer.text("reason")?.elementsEqual("refused".utf8) == true, let number = answer.number("errno"),
            let errno = Int32(exactly: number)
        else {
            let reason = String(decoding: answer.text("reason") ?? [], as: UTF8.self)
            throw HarnessError.infrastructure("the agent cannot do '\(verb)': \(reason)")
        }
        return (.refused(errno: errno), answer)
    }
}
