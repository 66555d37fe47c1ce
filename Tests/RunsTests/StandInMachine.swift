// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import Guests
import HotplugAgent
import Libvirt
import RunFixture
import Synchronization
import SystemPackage
import TestGuests

/// A machine without QEMU: memory in files, an MMU, a control socket, and a thread that is its CPU. On it runs the agent,
/// which is the real one, and while the agent waits the kernel does what the machine asks of it.
final class StandInMachine: Sendable {
    /// How it ends: QEMU, and what libvirt tells of it.
    struct Ending: Sendable {
        let status: QemuProcess.ExitStatus
        let events: [DomainEvent]
        /// The last that the guest prints.
        var lastWords = ""

        static let poweredOff = Ending(
            status: .exited(code: 0),
            events: [.emulatorShutDown(reason: "guest-shutdown"), .shutDown, .stopped(.shutdown)])
        static let destroyed = Ending(status: .signaled(signal: 15), events: [.stopped(.destroyed)])
        static let crashed = Ending(status: .signaled(signal: 11), events: [.stopped(.failed)])
        /// With `panic=-1` a panic is a reboot, which ends QEMU.
        static let panicked = Ending(
            status: .exited(code: 0),
            events: [.emulatorShutDown(reason: "guest-reset"), .shutDown, .stopped(.shutdown)],
            lastWords: "[    4.067351] Kernel panic - not syncing: Fatal exception\n")
    }

    private struct State {
        /// What the machine asks of the kernel, in order.
        var interrupts: [@Sendable (StandInKernel) -> Void] = []
        var isPaused = false
        /// At how many pauses more the agent is in the middle of a change.
        var midChangeCount = 0
        /// Set when the machine is to end in another way than by the guest's own power-off.
        var requestedEnding: Ending?
        /// Set when it has ended.
        var end: QemuProcess.ExitStatus?
    }

    let memory: StandInMemory
    let mmu = StandInMMU()
    /// Whether it reads memory through the MMU.
    var savesMemory: Bool { if case .savesNoMemory = flaw { false } else { true } }
    /// Whether its monitor answers.
    var answers: Bool { if case .answersNothing = flaw { false } else { true } }
    /// What libvirt tells of it.
    let events: AsyncStream<DomainEvent>
    private let eventSink: AsyncStream<DomainEvent>.Continuation
    private let socket: ControlSocket
    private let region: MappedWords
    private let dumpArea: MappedWords?
    private let console: FilePath
    private let flaw: StandInKernel.Flaw?
    private let hasKprobes: Bool
    private let state = Mutex(State())

    init(
        memory: StandInMemory, controlSocket: FilePath, console: FilePath, region: MappedWords,
        dumpArea: MappedWords?, flaw: StandInKernel.Flaw?, hasKprobes: Bool
    ) throws {
        self.memory = memory
        self.region = region
        self.dumpArea = dumpArea
        self.console = console
        self.flaw = flaw
        if case .pausesInMidChange(let count) = flaw { state.withLock { $0.midChangeCount = count } }
        self.hasKprobes = hasKprobes
        (events, eventSink) = AsyncStream.makeStream(of: DomainEvent.self)
        socket = try ControlSocket(at: controlSocket)
    }

    // MARK: - What the host does to it

    /// Switches it on.
    func start() {
        let processor = Thread { self.run() }
        processor.name = "stand-in-cpu"
        processor.start()
        tell(.started)
    }

    /// Has the kernel do something, as soon as the agent waits.
    func interrupt(_ handler: @escaping @Sendable (StandInKernel) -> Void) {
        state.withLock { $0.interrupts.append(handler) }
        socket.wake()
    }

    /// Stops the CPU where it is, which is where the agent waits, or lets it go on.
    func setPaused(_ isPaused: Bool) {
        let isInMidChange = state.withLock { state in
            state.isPaused = isPaused
            guard isPaused, state.midChangeCount > 0 else { return false }
            state.midChangeCount -= 1
            return true
        }
        let generation = SharedRegionLayout.Field.generation.offset
        if let word = try? region.load(at: generation) {
            try? region.store(isInMidChange ? word | 1 : word & ~1, at: generation)
        }
        tell(isPaused ? .suspended : .resumed)
        socket.wake()
    }

    /// Ends it.
    func requestEnd(_ ending: Ending) {
        state.withLock { $0.requestedEnding = $0.requestedEnding ?? ending }
        socket.wake()
    }

    /// Tells libvirt something.
    func tell(_ event: DomainEvent) { eventSink.yield(event) }

    /// How it has ended; nil as long as it has not.
    var end: QemuProcess.ExitStatus? { state.withLock { $0.end } }

    // MARK: - The CPU

    private func run() {
        let guest = FakeGuest(memory: FakeKernelMemory(ram: memory), region: region)
        if hasKprobes { guest.trace = FakeTrace() }
        guest.files["/proc/meminfo"] = Array("MemFree:  524288 kB\n".utf8)
        let kernel = StandInKernel(guest, memory: memory, mmu: mmu, flaw: flaw)
        guest.whileIdle = { guest, milliseconds in self.idle(guest, kernel, milliseconds: milliseconds) }
        if case .hasNoAgent = flaw {
            while state.withLock({ $0.requestedEnding }) == nil { socket.wait(milliseconds: 1000) }
        } else {
            var hasCrashed = false
            guest.onCrash = { guest in
                // What was said before arrives; nothing of this kernel does any more, and its agent's loop ends.
                self.socket.send(guest.takeOutput())
                hasCrashed = true
                guest.input = Array("0 poweroff\n".utf8)
            }
            Self.serve(guest)
            if hasCrashed, state.withLock({ $0.requestedEnding }) == nil { capture(kernel) }
        }
        guest.whileIdle = nil
        let ending = state.withLock { $0.requestedEnding }
        if ending == nil { socket.send(guest.takeOutput()) }
        finish(ending ?? .poweredOff)
    }

    private static func serve(_ guest: FakeGuest) {
        let agent = Agent(system: guest)
        agent.start()
        agent.serve()
    }

    /// Boots the dump-capture kernel, with the same agent.
    private func capture(_ dead: StandInKernel) {
        guard !dead.loads.isEmpty else { return requestEnd(.panicked) }
        let guest = FakeGuest(memory: FakeKernelMemory(ram: memory), region: region)
        guest.dump = dead.dump
        if let dumpArea { guest.dumpArea = dumpArea }
        guest.program = dead.dumpTool
        guest.hasKcore = false
        guest.whileIdle = { guest, milliseconds in self.idle(guest, dead, milliseconds: milliseconds) }
        Self.serve(guest)
        guest.whileIdle = nil
        if state.withLock({ $0.requestedEnding }) == nil { socket.send(guest.takeOutput()) }
    }

    private func idle(_ guest: FakeGuest, _ kernel: StandInKernel, milliseconds: Int) {
        socket.send(guest.takeOutput())
        repeat {
            socket.wait(milliseconds: milliseconds)
        } while state.withLock { $0.isPaused && $0.requestedEnding == nil }
        let interrupts = state.withLock { state in
            defer { state.interrupts = [] }
            return state.interrupts
        }
        for interrupt in interrupts { interrupt(kernel) }
        guard state.withLock({ $0.requestedEnding }) == nil else {
            // Nothing else ends the agent's loop; the host does not hear its answer.
            guest.input = Array("0 poweroff\n".utf8)
            return
        }
        guest.input += socket.receive()
    }

    private func finish(_ ending: Ending) {
        try? Data(ending.lastWords.utf8).write(to: URL(filePath: console.string))
        socket.close()
        for event in ending.events { tell(event) }
        eventSink.finish()
        state.withLock { $0.end = ending.status }
    }
}
