// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import HotplugAgent

// The C side, syscalls.c. Only 64-bit integers and pointers cross: this file is lowered for another architecture's
// calling convention, which agrees with ppc64's on those alone.
@_extern(c, "qh_open") func qhOpen(_ path: UnsafePointer<UInt8>, _ mode: Int) -> Int
@_extern(c, "qh_close") func qhClose(_ descriptor: Int)
@_extern(c, "qh_read") func qhRead(_ descriptor: Int, _ buffer: UnsafeMutableRawPointer, _ byteCount: Int) -> Int
@_extern(c, "qh_pread")
func qhPread(_ descriptor: Int, _ buffer: UnsafeMutableRawPointer, _ byteCount: Int, _ offset: Int) -> Int
@_extern(c, "qh_write") func qhWrite(_ descriptor: Int, _ buffer: UnsafeRawPointer, _ byteCount: Int) -> Int
@_extern(c, "qh_make_raw") func qhMakeRaw(_ descriptor: Int)
@_extern(c, "qh_wait") func qhWait(_ descriptors: UnsafePointer<Int>, _ count: Int, _ milliseconds: Int)
    -> Int
@_extern(c, "qh_make_folder") func qhMakeFolder(_ path: UnsafePointer<UInt8>) -> Int
@_extern(c, "qh_remove_folder") func qhRemoveFolder(_ path: UnsafePointer<UInt8>)
@_extern(c, "qh_names") func qhNames(_ path: UnsafePointer<UInt8>, _ buffer: UnsafeMutableRawPointer, _ byteCount: Int)
    -> Int
@_extern(c, "qh_map") func qhMap(_ descriptor: Int, _ byteCount: UnsafeMutablePointer<UInt64>)
    -> UnsafeMutableRawPointer?
@_extern(c, "qh_mount") func qhMount(_ type: UnsafePointer<UInt8>, _ target: UnsafePointer<UInt8>) -> Int
@_extern(c, "qh_microseconds") func qhMicroseconds() -> UInt64
@_extern(c, "qh_power_off") func qhPowerOff()
@_extern(c, "qh_restart") func qhRestart()
@_extern(c, "qh_page_size") func qhPageSize() -> UInt64
@_extern(c, "qh_put") func qhPut(_ path: UnsafePointer<UInt8>, _ buffer: UnsafeRawPointer, _ byteCount: Int) -> Int
@_extern(c, "qh_take")
func qhTake(_ path: UnsafePointer<UInt8>, _ buffer: UnsafeMutableRawPointer, _ byteCount: Int, _ offset: Int) -> Int
@_extern(c, "qh_start")
func qhStart(_ arguments: UnsafePointer<UInt8>, _ byteCount: Int, _ ends: UnsafeMutablePointer<Int>) -> Int
@_extern(c, "qh_end") func qhEnd(_ child: Int, _ mayWait: Int) -> Int
@_extern(c, "qh_kill") func qhKill(_ child: Int)
@_extern(c, "qh_allocate") func qhAllocate(
    _ byteCount: UInt64, _ source: UInt64, _ address: UnsafeMutablePointer<UInt64>
) -> Int
@_extern(c, "qh_free") func qhFree(_ descriptor: Int, _ address: UInt64, _ byteCount: UInt64)
@_extern(c, "qh_map_memory") func qhMapMemory(_ byteCount: UInt64, _ address: UnsafeMutablePointer<UInt64>) -> Int
@_extern(c, "qh_fill") func qhFill(_ address: UInt64, _ byteCount: UInt64)
@_extern(c, "qh_discard") func qhDiscard(_ address: UInt64, _ byteCount: UInt64)
@_extern(c, "qh_lower_priority") func qhLowerPriority()

/// Linux under the agent.
final class LinuxSystem: AgentSystem {
    /// `-errno` values that mean something to the agent.
    private static let tryAgain = 11
    private static let brokenPipe = 32

    func open(_ path: [UInt8], _ mode: OpenMode) -> Int? {
        let terminated = path + [0]
        // SAFETY: the array is NUL-terminated, and lives as long as the call.
        let descriptor = unsafe terminated.withUnsafeBufferPointer { buffer in
            unsafe buffer.baseAddress.map { unsafe qhOpen($0, mode.rawValue) } ?? -1
        }
        return descriptor < 0 ? nil : descriptor
    }

    func close(_ descriptor: Int) {
        qhClose(descriptor)
    }

    func read(_ descriptor: Int, byteCount: Int) -> ReadResult {
        // SAFETY: the buffer has room for byteCount bytes.
        unsafe filled(byteCount) { unsafe qhRead(descriptor, $0, byteCount) }
    }

    func read(_ descriptor: Int, at offset: UInt64, byteCount: Int) -> ReadResult {
        // SAFETY: the buffer has room for byteCount bytes. Offsets above Int.max keep their bits: off_t is as wide.
        unsafe filled(byteCount) { unsafe qhPread(descriptor, $0, byteCount, Int(truncatingIfNeeded: offset)) }
    }

    private func filled(_ byteCount: Int, _ fill: (UnsafeMutableRawPointer) -> Int) -> ReadResult {
        guard byteCount > 0 else { return .end }
        var result = 0
        // SAFETY: the buffer holds byteCount bytes, and the call reports how many of them it wrote.
        let content = unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, initializedCount in
            result = unsafe buffer.baseAddress.map { unsafe fill(UnsafeMutableRawPointer($0)) } ?? 0
            initializedCount = max(0, result)
        }
        switch result {
        case 1...: return .bytes(content)
        case 0: return .end
        case -Self.tryAgain: return .nothingYet
        case -Self.brokenPipe: return .overwritten
        default: return .failed(errno: UInt64(-result))
        }
    }

    func put(_ descriptor: Int, _ bytes: [UInt8]) -> UInt64 {
        // SAFETY: the buffer is the array's own.
        let result = unsafe bytes.withUnsafeBytes { buffer in
            unsafe buffer.baseAddress.map { unsafe qhWrite(descriptor, $0, buffer.count) } ?? 0
        }
        return result < 0 ? UInt64(-result) : 0
    }

    func makeRaw(_ descriptor: Int) {
        qhMakeRaw(descriptor)
    }

    func wait(for descriptors: [Int], milliseconds: Int) -> Bool {
        // poll(2) passes over -1, and sleeps.
        let descriptors = descriptors.isEmpty ? [-1] : descriptors
        // SAFETY: the buffer is the array's own, and lives as long as the call.
        return unsafe descriptors.withUnsafeBufferPointer { buffer in
            unsafe buffer.baseAddress.map { unsafe qhWait($0, buffer.count, milliseconds) } ?? 0 > 0
        }
    }

    func names(in folder: StaticString) -> [[UInt8]] {
        // SAFETY: a StaticString is NUL-terminated. 256 KiB hold the names of more than 10,000 memory blocks.
        let listing = unsafe filled(262_144) { unsafe qhNames(folder.utf8Start, $0, 262_144) }
        guard case .bytes(let joined) = listing else { return [] }
        return joined.split(separator: 0).map { Array($0) }
    }

    func map(_ descriptor: Int) -> MappedWords? {
        var byteCount: UInt64 = 0
        // SAFETY: the mapping lasts as long as the process, and its size is what the C side measured.
        guard let base = unsafe qhMap(descriptor, &byteCount) else { return nil }
        return MappedWords(unsafe Mapping(unsafeBase: base, byteCount: byteCount) { _ in })
    }

    func mount(_ type: StaticString, at target: StaticString) {
        // SAFETY: a StaticString is NUL-terminated.
        _ = unsafe qhMount(type.utf8Start, target.utf8Start)
    }

    func makeFolder(_ path: StaticString) -> Bool {
        // SAFETY: a StaticString is NUL-terminated.
        unsafe qhMakeFolder(path.utf8Start) >= 0
    }

    func removeFolder(_ path: StaticString) {
        // SAFETY: a StaticString is NUL-terminated.
        unsafe qhRemoveFolder(path.utf8Start)
    }

    func microseconds() -> UInt64 {
        qhMicroseconds()
    }

    func powerOff() {
        qhPowerOff()
    }

    func restart() {
        qhRestart()
    }

    var pageByteCount: UInt64 { qhPageSize() }

    func put(_ content: [UInt8], into path: [UInt8]) -> UInt64 {
        let terminated = path + [0]
        // SAFETY: both buffers are the arrays' own, and the path is NUL-terminated.
        let result = unsafe terminated.withUnsafeBufferPointer { path in
            unsafe content.withUnsafeBytes { content in
                unsafe path.baseAddress.flatMap { path in
                    unsafe content.baseAddress.map { unsafe qhPut(path, $0, content.count) }
                } ?? 0
            }
        }
        return result < 0 ? UInt64(-result) : 0
    }

    func take(from path: [UInt8], at offset: UInt64, byteCount: Int) -> ReadResult {
        let terminated = path + [0]
        // SAFETY: the path is NUL-terminated, and the buffer has room for byteCount bytes.
        return unsafe terminated.withUnsafeBufferPointer { path in
            unsafe filled(byteCount) { buffer in
                unsafe path.baseAddress.map {
                    unsafe qhTake($0, buffer, byteCount, Int(truncatingIfNeeded: offset))
                } ?? 0
            }
        }
    }

    func start(_ arguments: [[UInt8]]) -> RunningProgram? {
        var joined: [UInt8] = []
        for argument in arguments { joined += argument + [0] }
        var ends = [0, 0]
        // SAFETY: the arguments are NUL-terminated, and the C side writes two words.
        let child = unsafe joined.withUnsafeBufferPointer { arguments in
            unsafe ends.withUnsafeMutableBufferPointer { ends in
                unsafe arguments.baseAddress.flatMap { words in
                    unsafe ends.baseAddress.map { unsafe qhStart(words, arguments.count, $0) }
                } ?? -1
            }
        }
        return child < 0 ? nil : RunningProgram(identifier: child, output: ends[0], errors: ends[1])
    }

    func end(of program: Int, mayWait: Bool) -> ProgramEnd? {
        let status = qhEnd(program, mayWait ? 1 : 0)
        if status == -Self.tryAgain { return nil }
        // A process that is not there any more has ended, and nobody can say how.
        if status < 0 { return .exited(127) }
        return status >= 256 ? .killed(signal: UInt64(status) - 256) : .exited(UInt64(status))
    }

    func kill(_ program: Int) {
        qhKill(program)
    }

    func allocateKernelBuffer(
        byteCount: UInt64, from source: KernelBuffer.Source
    ) throws(ActionRefusal) -> KernelBuffer {
        var address: UInt64 = 0
        // SAFETY: the C side writes one word.
        let descriptor = unsafe qhAllocate(byteCount, source == .perfEvent ? 0 : 1, &address)
        guard descriptor >= 0 else { throw ActionRefusal(errno: UInt64(-descriptor)) }
        return KernelBuffer(descriptor: descriptor, address: address, byteCount: byteCount)
    }

    func free(_ buffer: KernelBuffer) {
        qhFree(buffer.descriptor, buffer.address, buffer.byteCount)
    }

    func mapMemory(byteCount: UInt64) -> UInt64? {
        var address: UInt64 = 0
        // SAFETY: the C side writes one word.
        let status = unsafe qhMapMemory(byteCount, &address)
        return status == 0 ? address : nil
    }

    func fill(_ address: UInt64, byteCount: UInt64) {
        qhFill(address, byteCount)
    }

    func discard(_ address: UInt64, byteCount: UInt64) {
        qhDiscard(address, byteCount)
    }

    func lowerPriority() {
        qhLowerPriority()
    }
}

/// Called by `main` in syscalls.c.
@_cdecl("qh_agent_main")
public func agentMain() {
    let agent = Agent(system: LinuxSystem())
    agent.start()
    agent.serve()
}

/// Called by `main` in syscalls.c when the agent has started itself as a load of so many bytes.
@_cdecl("qh_load")
public func load(_ byteCount: UInt64) {
    LoadProgram.run(byteCount: byteCount, system: LinuxSystem())
}

/// Called by `main` in syscalls.c when this is no guest.
@_cdecl("qh_self_test")
public func selfTest() {
    _ = LinuxSystem().put(1, SelfTest.run())
}
