// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory

/// The guest program: one thread, one loop over the kernel's log and the control channel.
public final class Agent<System: AgentSystem> {
    private let system: System
    private var channel: Int?
    private var assembler = LineAssembler(maximumByteCount: ControlLine.maximumByteCount)
    private var session: Session<System>?
    /// In its place where the kernel that runs is there to tell of a dead one.
    private var capture: CaptureSession<System>?
    private let actions: GuestActions<System>
    private var waiting = Waiting()
    /// Whether the last round has read anything.
    private var hasRead = false
    /// Whether the channel may have taken a part of a line.
    private var isLineOpen = false
    /// Whether the machine is to start anew when serving ends.
    private var restarts = false

    /// Makes an agent on a system; nothing happens yet.
    public init(system: System) {
        self.system = system
        actions = GuestActions(system: system)
    }

    /// Sets everything up and says `hello`, or `trouble` for what is missing. What can be had is set up all the same.
    public func start() {
        system.mount("proc", at: "/proc")
        system.mount("sysfs", at: "/sys")
        system.mount("devtmpfs", at: "/dev")
        system.mount("debugfs", at: "/sys/kernel/debug")
        system.mount("tracefs", at: "/sys/kernel/tracing")
        channel = system.open("/dev/hvc1", .readWriteNonblocking)
        if let channel {
            system.makeRaw(channel)
        } else {
            tellConsole("no control channel: /dev/hvc1 cannot be opened")
        }
        do throws(SetupTrouble) {
            guard !CaptureSession.isDue(system: system) else {
                let capture = try CaptureSession(system: system)
                self.capture = capture
                return say(capture.hello())
            }
            let session = try Session(system: system)
            self.session = session
            say(session.hello())
        } catch {
            var message = bytes("missing: ")
            message += error.missing
            tellConsole(message)
            say(ControlLine(identifier: 0, verb: "trouble").with("missing", text: error.missing))
        }
    }

    /// Serves until the harness says `poweroff` or `reboot`, and does that.
    public func serve() {
        while step() {}
        if restarts { system.restart() } else { system.powerOff() }
    }

    /// Waits for something to do and does it; false once the harness has said `poweroff` or `reboot`.
    func step() -> Bool {
        var descriptors = session?.descriptors ?? []
        if let channel { descriptors.append(channel) }
        waiting.wait(for: descriptors, milliseconds: 1000, hasRead: hasRead, system: system)
        hasRead = session?.drain() ?? false
        actions.look()
        guard let channel else { return true }
        guard case .bytes(let input) = system.read(channel, byteCount: 4096) else { return true }
        hasRead = true
        let droppedLineCount = assembler.droppedLineCount
        let lines = assembler.append(input[...])
        if assembler.droppedLineCount > droppedLineCount {
            say(
                ControlLine(identifier: 0, verb: "trouble")
                    .with("overlong-lines", UInt64(assembler.droppedLineCount - droppedLineCount)))
        }
        for line in lines where !line.isEmpty {
            guard let request = ControlLine(parsing: line[...]) else {
                say(ControlLine(identifier: 0, verb: "trouble").with("unreadable-line", UInt64(line.count)))
                continue
            }
            if request.has(verb: "poweroff") || request.has(verb: "reboot") {
                restarts = request.has(verb: "reboot")
                say(ControlLine(identifier: request.identifier, verb: "ok"))
                return false
            }
            say(answer(to: request))
            if request.has(verb: "crash"), capture == nil { CrashKernel.crash(system: system) }
        }
        return true
    }

    private func answer(to request: ControlLine) -> ControlLine {
        // A kernel that is there to tell of another one does nothing else.
        if let capture { return capture.answer(to: request) }
        if let answer = actions.answer(to: request) { return answer }
        if request.has(verb: "load-crash-kernel") { return CrashKernel.load(request, system: system) }
        if request.has(verb: "crash") { return ControlLine(identifier: request.identifier, verb: "ok") }
        guard let session else {
            return ControlLine(identifier: request.identifier, verb: "error").with("reason", text: bytes("not-set-up"))
        }
        return session.answer(to: request)
    }

    private func say(_ line: ControlLine) {
        guard let channel else { return }
        // A line that was cut off must not become another one, neither with the next one's beginning nor by itself: a
        // byte that no line can hold ends it.
        let end: [UInt8] = isLineOpen ? [0x18, 0x0a] : []
        isLineOpen = !system.write(channel, end + line.encoded)
        if isLineOpen { tellConsole("the control channel takes no answer") }
    }

    private func tellConsole(_ text: StaticString) {
        tellConsole(bytes(text))
    }

    private func tellConsole(_ text: [UInt8]) {
        guard let console = system.open("/dev/console", .write) else { return }
        var line = bytes("qemu-harness agent: ")
        line += text
        line.append(0x0a)
        _ = system.write(console, line)
        system.close(console)
    }
}

/// What kept the agent from mirroring.
struct SetupTrouble: Error {
    let missing: [UInt8]

    init(_ missing: StaticString) {
        self.missing = bytes(missing)
    }
}
