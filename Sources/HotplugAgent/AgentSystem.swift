// SPDX-License-Identifier: Apache-2.0

public import AgentProtocol
public import GuestMemory

/// What the agent asks of the operating system. The guest program has Linux behind it, tests have a made-up one.
public protocol AgentSystem: AnyObject {
    /// Opens a file and returns its descriptor, or nil with nothing opened.
    func open(_ path: [UInt8], _ mode: OpenMode) -> Int?

    /// Closes a descriptor.
    func close(_ descriptor: Int)

    /// Reads up to `byteCount` bytes.
    func read(_ descriptor: Int, byteCount: Int) -> ReadResult

    /// Reads up to `byteCount` bytes at a file offset.
    func read(_ descriptor: Int, at offset: UInt64, byteCount: Int) -> ReadResult

    /// Writes all of `bytes`, and returns 0, or the errno of what kept any of them from going through: some of them may
    /// have gone through then. A file that takes
    /// all it is given gets them in one call.
    func put(_ descriptor: Int, _ bytes: [UInt8]) -> UInt64

    /// Takes echo and line editing off a terminal.
    func makeRaw(_ descriptor: Int)

    /// Waits until one of the descriptors, at most 8, can be read, has failed or was hung up, or the time is over; false
    /// when it is. Which one, reading tells.
    func wait(for descriptors: [Int], milliseconds: Int) -> Bool

    /// The names in a folder; empty when it cannot be read.
    func names(in folder: StaticString) -> [[UInt8]]

    /// Maps a whole file shared and writable; nil when that fails.
    func map(_ descriptor: Int) -> MappedWords?

    /// Mounts a file system; a second time is no error.
    func mount(_ type: StaticString, at target: StaticString)

    /// Makes a folder; false when there is none afterwards.
    func makeFolder(_ path: StaticString) -> Bool

    /// Removes an empty folder, or a trace instance that nobody uses.
    func removeFolder(_ path: StaticString)

    /// Microseconds since boot.
    func microseconds() -> UInt64

    /// Switches the machine off.
    func powerOff()

    /// Starts the machine anew.
    func restart()

    /// The kernel's page size in bytes.
    var pageByteCount: UInt64 { get }

    /// Writes all of `content` into a file that exists, in one call; the error of the call that failed, 0 when none did.
    func put(_ content: [UInt8], into path: [UInt8]) -> UInt64

    /// Reads up to `byteCount` bytes of a file from an offset on, and waits for none.
    func take(from path: [UInt8], at offset: UInt64, byteCount: Int) -> ReadResult

    /// Starts a program by its path, its arguments as given, the path first; nil when that fails.
    func start(_ arguments: [[UInt8]]) -> RunningProgram?

    /// How a program has ended, after which it is not known any more; nil while it runs, unless the end is waited for.
    func end(of program: Int, mayWait: Bool) -> ProgramEnd?

    /// Kills a program and what it has started (SIGKILL).
    func kill(_ program: Int)

    /// Has the kernel allocate memory that it cannot move.
    func allocateKernelBuffer(byteCount: UInt64, from source: KernelBuffer.Source) throws(ActionRefusal) -> KernelBuffer

    /// Gives a buffer back.
    func free(_ buffer: KernelBuffer)

    /// Maps memory for this process alone, a number of whole pages, behind which there is none yet; its address, or nil when
    /// that fails.
    func mapMemory(byteCount: UInt64) -> UInt64?

    /// Writes to each page of mapped memory, so that the kernel has to find one for it.
    func fill(_ address: UInt64, byteCount: UInt64)

    /// Gives the pages behind mapped memory back, which stays mapped.
    func discard(_ address: UInt64, byteCount: UInt64)

    /// Has this process run when no other wants to.
    func lowerPriority()
}

/// Memory of the kernel's own that this process has mapped.
public struct KernelBuffer: Equatable, Sendable {
    /// What the kernel allocates it for.
    public enum Source: Equatable, Sendable {
        /// A perf event, which each kernel with a mirror's sources has.
        case perfEvent
        /// A packet socket's ring.
        case packetSocket
    }

    /// The descriptor that holds it.
    public let descriptor: Int
    /// Where it is mapped.
    public let address: UInt64
    /// Its size, a number of whole pages.
    public let byteCount: UInt64

    /// Describes a buffer.
    public init(descriptor: Int, address: UInt64, byteCount: UInt64) {
        self.descriptor = descriptor
        self.address = address
        self.byteCount = byteCount
    }
}

/// How a file is opened.
public enum OpenMode: Int, Sendable {
    /// For reading; reads wait.
    case read = 0
    /// For writing.
    case write = 1
    /// For both; a read with nothing there does not wait.
    case readWriteNonblocking = 2
    /// For reading; a read with nothing there does not wait.
    case readNonblocking = 3
}

/// What a read gave.
public enum ReadResult: Equatable, Sendable {
    /// Bytes, at least one.
    case bytes([UInt8])
    /// The end of the file.
    case end
    /// Nothing there yet (`EAGAIN`).
    case nothingYet
    /// Records were overwritten before they were read (`EPIPE` on /dev/kmsg).
    case overwritten
    /// Anything else.
    case failed(errno: UInt64)
}

extension AgentSystem {
    /// Opens a file by a literal path.
    func open(_ path: StaticString, _ mode: OpenMode) -> Int? {
        open(bytes(path), mode)
    }

    /// Writes all of `bytes`; false when less went through.
    func write(_ descriptor: Int, _ bytes: [UInt8]) -> Bool {
        put(descriptor, bytes) == 0
    }

    /// The content of a small file, without a newline at its end; nil when it cannot be read.
    func content(_ path: [UInt8], limit: Int = 65536) -> [UInt8]? {
        guard let descriptor = open(path, .read) else { return nil }
        defer { close(descriptor) }
        var content: [UInt8] = []
        while content.count < limit, case .bytes(let more) = read(descriptor, byteCount: limit - content.count) {
            content += more
        }
        if content.last == 0x0a { content.removeLast() }
        return content
    }

    /// The content of a small file at a literal path.
    func content(_ path: StaticString, limit: Int = 65536) -> [UInt8]? {
        content(bytes(path), limit: limit)
    }

    /// Reads a file that may be megabytes of text a line at a time, until `body` returns false; false when it cannot be
    /// opened. A line of 512 bytes or more is left out.
    func readLines(of path: StaticString, _ body: (ArraySlice<UInt8>) -> Bool) -> Bool {
        guard let descriptor = open(path, .read) else { return false }
        defer { close(descriptor) }
        var assembler = LineAssembler(maximumByteCount: 512)
        while case .bytes(let text) = read(descriptor, byteCount: 65536) {
            for line in assembler.append(text[...]) where !body(line[...]) { return true }
        }
        return true
    }
}

/// The bytes of a literal.
func bytes(_ text: StaticString) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(text: text)
    return bytes
}
