// SPDX-License-Identifier: Apache-2.0

package import AgentProtocol
package import GuestMemory
package import HotplugAgent
package import TestSupport

/// A made-up ppc64 guest under the agent: files, the kernel's log, its list behind /proc/kcore, and an ivshmem device.
package final class FakeGuest: AgentSystem {
    private enum File {
        case content([UInt8], position: Int)
        case sink(String)
        case kcore
        case vmcore
        case log(position: UInt64)
        case trace(FakeTrace.File)
        case pagemap
        case stream([UInt8], ofProgram: Int)
        case channel
        case console
        /// The standard output of a process that is no agent.
        case output
        case region
        case dumpArea
    }

    /// Whole files, by path. Without an entry a file cannot be opened.
    package var files: [String: [UInt8]] = [:]
    package var folders: [String: [String]] = [:]
    /// Files that can be written, and what was written to them.
    package var written: [String: [UInt8]] = [:]
    package var memory: FakeKernelMemory
    /// Its tracefs. Like a kernel that says everything in its log, it lets nobody probe `vmemmap_populate`.
    package var trace = FakeTrace(refused: ["vmemmap_populate": 22])
    /// Kernel entries, newest first.
    package private(set) var entries: [(node: UInt64, virtAddr: UInt64, phys: UInt64)] = []
    private var nextNode = FakeKernelMemory.firstNodePage

    /// Records of the log by sequence number; a missing number was never readable.
    private var records: [UInt64: [UInt8]] = [:]
    package private(set) var nextSequence: UInt64 = 0
    private var oldestSequence: UInt64 = 0
    /// Whether what is written to the log comes back out of it.
    package var logEchoes = true
    package var hasLog = true
    package var hasChannel = true
    package var hasKcore = true
    /// The dead kernel's memory, where a dump-capture kernel runs.
    package var dump: FakeDump?

    package var input: [UInt8] = []
    package private(set) var output: [UInt8] = []
    package private(set) var console: [UInt8] = []
    package private(set) var mounted: [String] = []
    package private(set) var isRaw = false
    package private(set) var isPoweredOff = false
    package private(set) var isRestarted = false
    /// Files that refuse to be written, with their error number.
    package var refusals: [String: UInt64] = [:]
    /// Where the kernel puts its next buffers; each starts at its frame, pages one after another.
    package var bufferFrames: [UInt64] = []
    /// What each buffer was asked of, in order.
    package private(set) var bufferSources: [KernelBuffer.Source] = []
    /// Whose buffers the process's page map passes over.
    package var hiddenBufferSource: KernelBuffer.Source?
    private var hiddenBuffers: Set<UInt64> = []
    /// How many pages the kernel has for itself above the 80 of its watermark and without its buffers; nil where
    /// /proc/zoneinfo is a file as any.
    package var kernelPageCount: UInt64?
    /// What it says when there is no next one: `ENOMEM`.
    package var bufferErrno: UInt64 = 12
    /// Whether the log and the trace always have something more to read.
    package var isTalkative = false
    /// The files whose messages dynamic debug knows.
    package var debugFiles = ["arch/powerpc/mm/init_64.c", "init/main.c"]
    /// The buffers that are allocated now, by the address where they are mapped.
    package private(set) var buffers: [UInt64: (buffer: KernelBuffer, frame: UInt64)] = [:]
    private var nextBufferAddress: UInt64 = 1 << 40
    package private(set) var clock: UInt64 = 1_000_000
    /// How far the clock of log and trace is ahead of the program's.
    package var sourceLead: Int64 = 0
    private var sourceClock: UInt64 { UInt64(Int64(clock) + sourceLead) }

    /// Called before the so-many-th opening of /proc/kcore, counting from 1.
    package var beforeKcore: [Int: (FakeGuest) -> Void] = [:]
    private var kcoreCount = 0
    /// Files that give nothing any more and are ready all the same.
    package var brokenFiles: Set<BreakableFile> = []
    package enum BreakableFile: CaseIterable { case log, trace, channel }
    /// How many bytes the channel takes before it takes none (`EAGAIN`); it takes all again after that.
    package var channelRoom: Int?
    /// Called before a marker goes into the log.
    package var beforeMarker: ((FakeGuest) -> Void)?

    /// Called when nothing is left to read, with the milliseconds that the agent waits at most: whoever has the agent
    /// served by another thread waits there, and does what happens meanwhile. Nil where the clock just goes on.
    package var whileIdle: ((FakeGuest, _ milliseconds: Int) -> Void)?

    private let region: MappedWords
    private var descriptors: [Int: File] = [1: .output]
    private var nextDescriptor = 3

    package static let device = "/sys/bus/pci/devices/0000:00:03.0"
    /// An ivshmem device that comes before the region's.
    package static let dumpDevice = "/sys/bus/pci/devices/0000:00:02.0"
    /// Where dumps go; nil for a guest without such a device.
    package var dumpArea: MappedWords? {
        didSet {
            folders["/sys/bus/pci/devices"] = ["0000:00:01.0", "0000:00:02.0", "0000:00:03.0"]
            files[Self.dumpDevice + "/vendor"] = Array("0x1af4\n".utf8)
            files[Self.dumpDevice + "/device"] = Array("0x1110\n".utf8)
            written[Self.dumpDevice + "/enable"] = []
        }
    }
    package static let debugControl = "/sys/kernel/debug/dynamic_debug/control"

    package convenience init(regionByteCount: Int = 4 << 20, vmcoreinfo: SampleVmcoreinfo = SampleVmcoreinfo()) {
        self.init(
            memory: FakeKernelMemory(), region: HeapWords(byteCount: regionByteCount).words, vmcoreinfo: vmcoreinfo)
    }

    /// A guest of 1 GiB with this memory, into which a kernel's variables are written, and this shared region.
    package init(
        memory: FakeKernelMemory, region: MappedWords,
        vmcoreinfo: SampleVmcoreinfo = SampleVmcoreinfo()
    ) {
        self.memory = memory
        self.region = region
        files = [
            "/proc/cpuinfo": Array(
                "processor\t: 0\ncpu\t\t: POWER8\n\nplatform\t: pSeries\nMMU\t\t: Hash\n".utf8),
            "/sys/devices/system/memory/block_size_bytes": Array("10000000\n".utf8),
            Self.device + "/vendor": Array("0x1af4\n".utf8),
            Self.device + "/device": Array("0x1110\n".utf8),
            Self.device + "/resource2": [],
            "/sys/bus/pci/devices/0000:00:01.0/vendor": Array("0x1033\n".utf8),
            "/sys/bus/pci/devices/0000:00:01.0/device": Array("0x0194\n".utf8),
        ]
        folders = [
            "/sys/bus/pci/devices": ["0000:00:01.0", "0000:00:03.0"],
            "/sys/devices/system/memory": ["block_size_bytes", "uevent"],
        ]
        written = [Self.device + "/enable": [], Self.debugControl: []]
        for index in 0..<4 { setBlock(index, "online") }

        let note = vmcoreinfo.note(order: .native)
        self.memory.store(note, at: FakeKernelMemory.note)
        let noteByteCount = String(note.count + 40, radix: 16)
        files["/sys/kernel/vmcoreinfo"] = Array("0x0000000000100000 \(noteByteCount)\n".utf8)
        self.memory.store(FakeKernelMemory.bytes(of: 2, count: 4), at: FakeKernelMemory.vmemmapPageSizeIndex)
        self.memory.store(FakeKernelMemory.bytes(of: 16, count: 4), at: FakeKernelMemory.pageSizeDefinitions + 2 * 96)
        self.memory.store(FakeKernelMemory.sectionRoot, at: FakeKernelMemory.sectionRoots)
        for section in 0..<64 {
            self.memory.store(
                FakeKernelMemory.vmemmapBase | 0xf, at: FakeKernelMemory.sectionRoot + UInt64(section) * 32)
        }
        for _ in 0..<7 { log("something older") }
    }

    private func zoneinfo(_ path: String) -> [UInt8]? {
        guard path == "/proc/zoneinfo", let kernelPageCount else { return nil }
        let held = buffers.values.reduce(0) { $0 + $1.buffer.byteCount } / pageByteCount
        let free = 80 + kernelPageCount - held
        return Array("Node 0, zone   Normal\n  pages free     \(free)\n        min      80\n".utf8)
    }

    package func setBlock(_ index: Int, _ state: String) {
        let name = "memory\(index)"
        if folders["/sys/devices/system/memory"]?.contains(name) == false {
            folders["/sys/devices/system/memory"]?.append(name)
        }
        files["/sys/devices/system/memory/\(name)/state"] = Array((state + "\n").utf8)
    }

    /// Takes a memory block away.
    package func removeBlock(_ index: Int) {
        folders["/sys/devices/system/memory"]?.removeAll { $0 == "memory\(index)" }
        files["/sys/devices/system/memory/memory\(index)/state"] = nil
    }

    // MARK: The kernel

    /// Puts a record into the log; it may claim another number than it has.
    ///
    /// The kernel's own records have facility 0; 15 is the priority of a program's (`LOG_USER`, `LOG_DEBUG`).
    package func log(_ text: String, sequence: UInt64? = nil, priority: Int = 7) {
        records[nextSequence] = Array("\(priority),\(sequence ?? nextSequence),\(sourceClock),-;\(text)\n".utf8)
        nextSequence += 1
    }

    /// Skips sequence numbers, as a reader sees them whose records are gone.
    package func loseRecords(_ count: UInt64) {
        nextSequence += count
    }

    /// Overwrites everything that is in the log.
    package func overwriteLog() {
        oldestSequence = nextSequence
    }

    /// A block that the kernel populates: on its list, and told by dynamic debug when that is on.
    package func populate(virtAddr: UInt64, phys: UInt64, told: Bool = true) {
        let node = nextNode
        nextNode += 24
        if nextNode % 65536 + 24 > 65536 { nextNode += 16 }
        entries.insert((node, virtAddr, phys), at: 0)
        memory.store(entries.count > 1 ? entries[1].node : 0, at: node)
        memory.store(phys, at: node + 8)
        memory.store(virtAddr, at: node + 16)
        memory.store(node, at: FakeKernelMemory.listHead)
        guard told else { return }
        if trace.isEnabled {
            trace.populate(
                start: virtAddr, end: virtAddr + 0x4000, blocks: [(virtAddr, 65536, LinearMap.base + phys)],
                at: sourceClock)
        }
        guard isDebugging else { return }
        log("vmemmap_populate \(hex(virtAddr))..\(hex(virtAddr + 0x4000)), node 0")
        log("      * \(hex(virtAddr))..\(hex(virtAddr + 65536)) allocated at \(hex(LinearMap.base + phys))")
    }

    /// Takes a block off the kernel's list, as the last of the window's sections goes: a call for each of them, whose
    /// start the kernel aligns down to the window before it prints it.
    package func free(virtAddr: UInt64, told: Bool = true) {
        guard let index = entries.firstIndex(where: { $0.virtAddr == virtAddr }) else { return }
        let next = index + 1 < entries.count ? entries[index + 1].node : 0
        memory.store(next, at: index == 0 ? FakeKernelMemory.listHead : entries[index - 1].node)
        entries.remove(at: index)
        guard told else { return }
        if trace.isEnabled { trace.free(start: virtAddr, end: virtAddr + 0x4000, virtAddr: virtAddr, at: sourceClock) }
        guard isDebugging else { return }
        for section in 1...4 {
            log("vmemmap_free \(hex(virtAddr))...\(hex(virtAddr + 0x4000 * UInt64(section)))")
        }
    }

    /// Populates so many blocks one after the other, from a window on.
    package func populate(_ windows: Range<UInt64>, told: Bool = true) {
        for window in windows {
            populate(
                virtAddr: FakeKernelMemory.vmemmapBase + window << 16, phys: 0x200_0000 + window << 16, told: told)
        }
    }

    /// Whether dynamic debug is on.
    package var isDebugging: Bool { written[Self.debugControl]?.isEmpty == false }

    /// Dynamic debug's control file (lib/dynamic_debug.c: `ddebug_proc_show`).
    private var debugListing: [UInt8] {
        let query = String(decoding: written[Self.debugControl] ?? [], as: UTF8.self)
        let lines = debugFiles.flatMap { file in
            [(203, "vmemmap_populate", "vmemmap_populate %lx..%lx, node %d"), (298, "vmemmap_free", "x =p")].map {
                "\(file):\($0) [\(file.split(separator: "/").last?.dropLast(2) ?? "")]\($1) "
                    + (query.contains(file) ? "=p" : "=_") + " \"\($2)\\012\"\n"
            }
        }
        return Array(("# filename:lineno [module]function flags format\n" + lines.joined()).utf8)
    }

    package func hex(_ number: UInt64) -> String { String(number, radix: 16) }

    // MARK: What the agent did

    /// Lends the region as the host reads it.
    package func withRegion<Result>(_ body: (SharedRegion) throws -> Result) throws -> Result {
        let layout = try SharedRegionLayout(regionByteCount: region.byteCount, pageByteCount: 65536)
        return try withExtendedLifetime(self) {
            try body(SharedRegion(words: region, layout: layout, order: .native))
        }
    }

    /// Takes the lines that the agent wrote since the last time.
    package func takeLines() -> [ControlLine?] {
        takeOutput().split(separator: 0x0a).map { ControlLine(parsing: $0) }
    }

    /// Takes what the agent wrote to the control channel since the last time.
    package func takeOutput() -> [UInt8] {
        defer { output = [] }
        return output
    }

    package var consoleText: String { String(decoding: console, as: UTF8.self) }

    /// How many files are open.
    package var openCount: Int { descriptors.count - 1 }

    // MARK: AgentSystem

    package func open(_ path: [UInt8], _ mode: OpenMode) -> Int? {
        let path = String(decoding: path, as: UTF8.self)
        let file: File
        switch (path, mode) {
        case ("/dev/kmsg", .readWriteNonblocking) where hasLog: file = .log(position: oldestSequence)
        case ("/dev/hvc1", .readWriteNonblocking) where hasChannel: file = .channel
        case ("/dev/console", .write): file = .console
        case ("/proc/self/pagemap", .read): file = .pagemap
        case (Self.debugControl, .read) where written[Self.debugControl] != nil:
            file = .content(debugListing, position: 0)
        case ("/proc/kcore", .read) where hasKcore:
            kcoreCount += 1
            beforeKcore[kcoreCount]?(self)
            file = .kcore
        case ("/proc/vmcore", .read) where dump != nil: file = .vmcore
        case (Self.device + "/resource2", .readWriteNonblocking) where files[path] != nil: file = .region
        case (Self.dumpDevice + "/resource2", .readWriteNonblocking) where dumpArea != nil: file = .dumpArea
        case _ where trace.file(path, mode) != nil:
            guard let traced = trace.file(path, mode) else { return nil }
            file = .trace(traced)
        case (_, .read):
            guard let content = zoneinfo(path) ?? files[path] ?? trace.content(path) else { return nil }
            file = .content(content, position: 0)
        case (_, .write) where written[path] != nil: file = .sink(path)
        default: return nil
        }
        defer { nextDescriptor += 1 }
        descriptors[nextDescriptor] = file
        return nextDescriptor
    }

    package func close(_ descriptor: Int) {
        precondition(descriptors.removeValue(forKey: descriptor) != nil, "closed twice")
    }

    package func read(_ descriptor: Int, byteCount: Int) -> ReadResult {
        switch descriptors[descriptor] {
        case .content(let content, let position):
            // Short reads, as sysfs and procfs may give.
            let piece = Array(content[position...].prefix(min(byteCount, 7)))
            descriptors[descriptor] = .content(content, position: position + piece.count)
            return piece.isEmpty ? .end : .bytes(piece)
        case .log where brokenFiles.contains(.log): return .failed(errno: 5)
        case .trace(.pipe) where brokenFiles.contains(.trace): return .end
        case .channel where brokenFiles.contains(.channel): return .end
        case .log(let position):
            return readLog(descriptor, position: position)
        case .trace(.pipe):
            if isTalkative {
                trace.hit("somebody_elses: (f+0x8/0x40)", at: sourceClock)
                clock += 1000
            }
            return trace.read(byteCount: byteCount)
        case .stream(let content, let program):
            guard !content.isEmpty else { return running[program]?.end == nil ? .nothingYet : .end }
            let piece = Array(content.prefix(min(byteCount, 1000)))
            descriptors[descriptor] = .stream(Array(content.dropFirst(piece.count)), ofProgram: program)
            return .bytes(piece)
        case .channel:
            guard !input.isEmpty else { return .nothingYet }
            let piece = Array(input.prefix(byteCount))
            input.removeFirst(piece.count)
            return .bytes(piece)
        default: return .failed(errno: 9)
        }
    }

    private func readLog(_ descriptor: Int, position: UInt64) -> ReadResult {
        if isTalkative {
            log("x")
            clock += 1000
        }
        guard position >= oldestSequence else {
            descriptors[descriptor] = .log(position: oldestSequence)
            return .overwritten
        }
        guard let sequence = (position..<max(position, nextSequence)).first(where: { records[$0] != nil }),
            let record = records[sequence]
        else { return .nothingYet }
        descriptors[descriptor] = .log(position: sequence + 1)
        return .bytes(record)
    }

    package func read(_ descriptor: Int, at offset: UInt64, byteCount: Int) -> ReadResult {
        if case .pagemap = descriptors[descriptor] { return readPagemap(at: offset) }
        let bytes: [UInt8]
        switch descriptors[descriptor] {
        case .kcore: bytes = memory.read(at: offset, byteCount: byteCount)
        case .vmcore: bytes = dump?.read(memory, at: offset, byteCount: byteCount) ?? []
        default: return .failed(errno: 9)
        }
        return bytes.isEmpty ? .end : .bytes(bytes)
    }

    package func put(_ descriptor: Int, _ bytes: [UInt8]) -> UInt64 {
        switch descriptors[descriptor] {
        case .trace(let file): return trace.put(String(decoding: bytes, as: UTF8.self), into: file, at: sourceClock)
        case .sink(let path): written[path, default: []] += bytes
        case .channel:
            defer { channelRoom = nil }
            output += bytes.prefix(channelRoom ?? bytes.count)
            return channelRoom == nil ? 0 : 11
        case .console: console += bytes
        case .output:
            guard let limit = pieceLimit, limit > 0 else { return 32 }
            pieceLimit = limit - 1
        case .log:
            beforeMarker?(self)
            guard logEchoes else { return 0 }
            let text = String(decoding: bytes, as: UTF8.self)
            log(String(text.drop(while: { $0 != ">" }).dropFirst().dropLast()), priority: 15)
        default: return 9
        }
        return 0
    }

    package func makeRaw(_ descriptor: Int) {
        guard case .channel = descriptors[descriptor] else { return }
        isRaw = true
    }

    package func wait(for descriptors: [Int], milliseconds: Int) -> Bool {
        if isReady(descriptors) { return true }
        clock += UInt64(milliseconds) * 1000
        guard let whileIdle else { return false }
        whileIdle(self, milliseconds)
        return isReady(descriptors)
    }

    private func isReady(_ descriptors: [Int]) -> Bool {
        descriptors.contains { descriptor in
            switch self.descriptors[descriptor] {
            case .log where brokenFiles.contains(.log): true
            case .trace(.pipe) where brokenFiles.contains(.trace): true
            case .channel where brokenFiles.contains(.channel): true
            case .log(let position): position < oldestSequence || records.keys.contains { $0 >= position }
            case .trace(.pipe): trace.hasText
            case .channel: !input.isEmpty
            case .stream(let content, let program): !content.isEmpty || running[program]?.end != nil
            default: false
            }
        }
    }

    package func makeFolder(_ path: StaticString) -> Bool {
        "\(path)" == "/tmp" || trace.makeInstance("\(path)")
    }

    package func removeFolder(_ path: StaticString) {
        let isInUse = descriptors.values.contains { if case .trace = $0 { true } else { false } }
        if !isInUse { trace.removeInstance("\(path)") }
    }

    package func names(in folder: StaticString) -> [[UInt8]] {
        (folders["\(folder)"] ?? trace.names(in: "\(folder)")).map { Array($0.utf8) }
    }

    package func map(_ descriptor: Int) -> MappedWords? {
        // Without `enable` the device's memory does not answer.
        switch descriptors[descriptor] {
        case .region where written[Self.device + "/enable"]?.last == 0x31: return region
        case .dumpArea where written[Self.dumpDevice + "/enable"]?.last == 0x31: return dumpArea
        default: return nil
        }
    }

    package func mount(_ type: StaticString, at target: StaticString) {
        mounted.append("\(type) \(target)")
    }

    package func microseconds() -> UInt64 {
        clock += 1
        return clock
    }

    package func powerOff() {
        isPoweredOff = true
    }

    package func restart() {
        isRestarted = true
    }

    package var pageByteCount: UInt64 { 65536 }

    /// The programs that were run, with their arguments.
    package private(set) var programs: [[String]] = []
    /// What a program does that is started.
    package struct Program {
        /// What it writes to its output and error streams.
        package var output: [UInt8]
        package var errors: [UInt8]
        /// How it ends; nil for one that runs until it is killed.
        package var end: ProgramEnd?

        package init(output: [UInt8] = [], errors: [UInt8] = [], end: ProgramEnd? = .exited(0)) {
            (self.output, self.errors, self.end) = (output, errors, end)
        }
    }
    /// What programs do that are started; nil where there are none.
    package var program: Program? = Program()
    /// What the agent itself does when it is started as a load; a byte of its output is a MiB.
    package var load = Program(output: [UInt8](repeating: 0x2e, count: 5), end: nil)
    /// Called when a program starts, with its arguments.
    package var onStart: ((FakeGuest, [String]) -> Void)?
    /// Called when the kernel is to crash.
    package var onCrash: ((FakeGuest) -> Void)?
    /// The programs that run now.
    package private(set) var running: [Int: Program] = [:]

    package func start(_ arguments: [[UInt8]]) -> RunningProgram? {
        guard var program else { return nil }
        programs.append(arguments.map { String(decoding: $0, as: UTF8.self) })
        if programs.last?.dropFirst().first == "load" { program = load }
        running[programs.count] = program
        onStart?(self, programs[programs.count - 1])
        defer { nextDescriptor += 2 }
        for (index, content) in [program.output, program.errors].enumerated() {
            descriptors[nextDescriptor + index] = .stream(content, ofProgram: programs.count)
        }
        return RunningProgram(identifier: programs.count, output: nextDescriptor, errors: nextDescriptor + 1)
    }

    package func end(of program: Int, mayWait: Bool) -> ProgramEnd? {
        guard let end = running[program]?.end else {
            precondition(!mayWait, "waits for ever")
            return nil
        }
        running[program] = nil
        return end
    }

    package func kill(_ program: Int) {
        running[program]?.end = .killed(signal: 9)
    }

    package func put(_ content: [UInt8], into path: [UInt8]) -> UInt64 {
        let path = String(decoding: path, as: UTF8.self)
        if let errno = refusals[path] { return errno }
        guard written[path] != nil else { return 2 }
        written[path] = content
        if path == "/proc/sysrq-trigger" { onCrash?(self) }
        return 0
    }

    package func take(from path: [UInt8], at offset: UInt64, byteCount: Int) -> ReadResult {
        guard let content = files[String(decoding: path, as: UTF8.self)] else { return .failed(errno: 2) }
        let piece = content.dropFirst(Int(offset)).prefix(byteCount)
        return piece.isEmpty ? .end : .bytes(Array(piece))
    }

    package func allocateKernelBuffer(
        byteCount: UInt64, from source: KernelBuffer.Source
    ) throws(ActionRefusal) -> KernelBuffer {
        bufferSources.append(source)
        guard !bufferFrames.isEmpty else { throw ActionRefusal(errno: bufferErrno) }
        let buffer = KernelBuffer(descriptor: nextDescriptor, address: nextBufferAddress, byteCount: byteCount)
        nextDescriptor += 1
        nextBufferAddress += byteCount
        buffers[buffer.address] = (buffer, bufferFrames.removeFirst())
        if source == hiddenBufferSource { hiddenBuffers.insert(buffer.address) }
        return buffer
    }

    package func free(_ buffer: KernelBuffer) {
        precondition(buffers.removeValue(forKey: buffer.address) != nil, "freed twice")
    }

    /// What this process has mapped and filled, in the order in which it did so: sizes in bytes.
    package enum MemoryUse: Equatable {
        case mapped(UInt64), filled(at: UInt64, UInt64), discarded(at: UInt64, UInt64), lowered
    }
    package private(set) var memoryUses: [MemoryUse] = []
    /// How many pieces may be filled before nobody hears of them any more; nil where nothing can be mapped.
    package var pieceLimit: Int?

    package func mapMemory(byteCount: UInt64) -> UInt64? {
        memoryUses.append(.mapped(byteCount))
        return pieceLimit == nil ? nil : 1 << 32
    }

    package func fill(_ address: UInt64, byteCount: UInt64) {
        memoryUses.append(.filled(at: address - (1 << 32), byteCount))
    }

    package func discard(_ address: UInt64, byteCount: UInt64) {
        memoryUses.append(.discarded(at: address - (1 << 32), byteCount))
    }

    package func lowerPriority() {
        memoryUses.append(.lowered)
    }

    private func readPagemap(at offset: UInt64) -> ReadResult {
        let address = offset / 8 * pageByteCount
        let owner = buffers.values.first {
            !hiddenBuffers.contains($0.buffer.address)
                && $0.buffer.address..<$0.buffer.address + $0.buffer.byteCount ~= address
        }
        let entry = owner.map { 1 << 63 | $0.frame + (address - $0.buffer.address) / pageByteCount } ?? 0
        return .bytes(FakeKernelMemory.bytes(of: entry, count: 8))
    }
}
