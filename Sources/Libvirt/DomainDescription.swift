// SPDX-License-Identifier: Apache-2.0

internal import FoundationXML
public import SystemPackage

/// A ppc64 pseries guest as this project runs it: emulated CPU, shared memory files, two hvc consoles, nothing else.
///
/// hvc0 is the console and goes to a file; hvc1 is the control channel and ends in a socket on which QEMU listens.
public struct DomainDescription: Equatable, Sendable {
    /// The CPU models this project knows.
    public enum CPUModel: String, CaseIterable, Sendable {
        /// Hash MMU only.
        case power8 = "POWER8"
        /// Radix MMU unless the kernel is told otherwise.
        case power9 = "POWER9"
        /// Radix MMU unless the kernel is told otherwise.
        case power10 = "POWER10"
    }

    /// A file that guest and host share, which the guest sees as BAR 2 of an ivshmem device.
    public struct SharedMemory: Equatable, Sendable {
        /// The file's name in /dev/shm.
        public var name: String
        /// The file's size in bytes, a power of two.
        public var byteCount: UInt64

        /// A shared file of that name and size.
        public init(name: String, byteCount: UInt64) {
            self.name = name
            self.byteCount = byteCount
        }
    }

    /// The domain's name.
    public var name: String
    /// The QEMU that runs it, as an absolute path; libvirt chooses if nil.
    public var emulator: FilePath?
    /// The CPU that QEMU emulates.
    public var cpuModel: CPUModel
    /// How many CPUs the guest has.
    public var cpuCount: Int = 1
    /// The memory that the guest boots with, in bytes.
    public var bootMemoryByteCount: UInt64
    /// Boot memory and all that can be plugged, in bytes.
    public var maximumMemoryByteCount: UInt64
    /// How many DIMMs can be plugged.
    public var slotCount: Int
    /// How many NUMA nodes share the boot memory equally. There is always one: since version 11 libvirt gives a domain
    /// whose memory may grow a node unasked, and then refuses a DIMM that names none; older ones take both as well.
    public var numaNodeCount: Int = 1
    /// The largest page that the hashed page table may hold, in bytes; QEMU chooses if nil.
    public var hptPageByteCount: UInt64?
    /// Whether the guest may have the hashed page table made anew in another size (`resize-hpt`).
    public var hasHPTResizing = true
    /// The kernel that QEMU loads.
    public var kernel: FilePath
    /// The initial RAM file system that QEMU loads.
    public var initialRAMDisk: FilePath?
    /// What the kernel is told.
    public var commandLine: String
    /// The file that holds what the guest writes to hvc0. QEMU appends to it, so that who shortens it is not written over.
    public var consoleLog: FilePath
    /// The socket that is the other end of hvc1.
    public var controlSocket: FilePath
    /// What host and guest share, apart from RAM.
    public var sharedMemory: [SharedMemory]

    /// A guest with one CPU.
    public init(
        name: String,
        cpuModel: CPUModel,
        bootMemoryByteCount: UInt64,
        maximumMemoryByteCount: UInt64,
        slotCount: Int,
        kernel: FilePath,
        initialRAMDisk: FilePath?,
        commandLine: String,
        consoleLog: FilePath,
        controlSocket: FilePath,
        sharedMemory: [SharedMemory]
    ) {
        self.name = name
        self.cpuModel = cpuModel
        self.bootMemoryByteCount = bootMemoryByteCount
        self.maximumMemoryByteCount = maximumMemoryByteCount
        self.slotCount = slotCount
        self.kernel = kernel
        self.initialRAMDisk = initialRAMDisk
        self.commandLine = commandLine
        self.consoleLog = consoleLog
        self.controlSocket = controlSocket
        self.sharedMemory = sharedMemory
    }

    /// Refuses a path that a domain cannot name, before anything is made of it.
    ///
    /// - Parameters:
    ///   - path: The path.
    ///   - place: What the error calls it.
    /// - Throws: `DomainXMLError.forbiddenCharacter` if it holds a control character.
    public static func check(path: FilePath, place: String) throws(DomainXMLError) {
        try refuseControlCharacters(in: path.string, place: place)
    }

    /// The domain in libvirt's XML, for ``Connection/createTransient(xml:)``.
    ///
    /// - Throws: `DomainXMLError.forbiddenCharacter` if a name, path or command line holds a control character.
    public func xml() throws(DomainXMLError) -> String {
        let domain = try element(
            "domain",
            ["type": "qemu", "xmlns:qemu": "http://libvirt.org/schemas/domain/qemu/1.0"],
            children: [
                element("name", text: name),
                element(
                    "maxMemory",
                    ["slots": "\(slotCount)", "unit": "bytes"],
                    text: "\(maximumMemoryByteCount)"
                ),
                element("memory", ["unit": "bytes"], text: "\(bootMemoryByteCount)"),
                element(
                    "memoryBacking",
                    children: [element("source", ["type": "file"]), element("access", ["mode": "shared"])]
                ),
                element("vcpu", text: "\(cpuCount)"),
                operatingSystem(),
                element("features", children: features()),
                element(
                    "cpu",
                    ["mode": "custom", "match": "exact", "check": "none"],
                    children: [element("model", text: cpuModel.rawValue)] + numa()
                ),
                element("on_poweroff", text: "destroy"),
                element("on_reboot", text: "destroy"),
                element("on_crash", text: "destroy"),
                element("devices", children: devices()),
                element(
                    "qemu:commandline",
                    children: [
                        element("qemu:arg", ["value": "-machine"]),
                        element("qemu:arg", ["value": Self.machineOptions]),
                    ]
                ),
            ]
        )
        return XMLDocument(rootElement: domain).xmlString(options: .nodePrettyPrint)
    }

    /// libvirt has no words for these: boot without SLOF, which saves 20 s under emulation, and without the mitigations
    /// that emulation lacks and would warn about.
    public static let machineOptions = "x-vof=on,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off"

    private func operatingSystem() throws(DomainXMLError) -> XMLElement {
        var children = [
            // For guests of either byte order: the kernel chooses.
            try element("type", ["arch": "ppc64", "machine": "pseries"], text: "hvm"),
            try element("kernel", text: kernel.string),
        ]
        if let initialRAMDisk { children.append(try element("initrd", text: initialRAMDisk.string)) }
        children.append(try element("cmdline", text: commandLine))
        return try element("os", children: children)
    }

    private func features() throws(DomainXMLError) -> [XMLElement] {
        let sizes = try hptPageByteCount.map { byteCount throws(DomainXMLError) in
            [try element("maxpagesize", ["unit": "KiB"], text: "\(byteCount >> 10)")]
        }
        guard sizes != nil || !hasHPTResizing else { return [] }
        return [try element("hpt", hasHPTResizing ? [:] : ["resizing": "disabled"], children: sizes ?? [])]
    }

    /// The nodes; CPUs go to them in turn, and a node may have none.
    private func numa() throws(DomainXMLError) -> [XMLElement] {
        let cells = try (0..<numaNodeCount).map { node throws(DomainXMLError) in
            let cpus = stride(from: node, to: cpuCount, by: numaNodeCount).map { "\($0)" }.joined(separator: ",")
            let memory = "\(bootMemoryByteCount / UInt64(numaNodeCount))"
            return cpus.isEmpty
                ? try element("cell", ["id": "\(node)", "memory": memory, "unit": "bytes"])
                : try element("cell", ["id": "\(node)", "cpus": cpus, "memory": memory, "unit": "bytes"])
        }
        return [try element("numa", children: cells)]
    }

    private func devices() throws(DomainXMLError) -> [XMLElement] {
        var devices =
            try emulator.map { path throws(DomainXMLError) in [try element("emulator", text: path.string)] } ?? []
        devices += [
            // Without these two libvirt adds a USB controller and a balloon.
            try element("controller", ["type": "usb", "model": "none"]),
            try element("memballoon", ["model": "none"]),
            try serial(
                port: 0,
                type: "file",
                source: element("source", ["path": consoleLog.string, "append": "on"])
            ),
            try serial(
                port: 1,
                type: "unix",
                source: element("source", ["mode": "bind", "path": controlSocket.string])
            ),
        ]
        for memory in sharedMemory {
            devices.append(
                try element(
                    "shmem",
                    // QEMU migrates no guest with another role, and its stream is read for the hashed page table.
                    ["name": memory.name, "role": "master"],
                    children: [
                        element("model", ["type": "ivshmem-plain"]),
                        element("size", ["unit": "bytes"], text: "\(memory.byteCount)"),
                    ]
                )
            )
        }
        return devices
    }

    private func serial(port: Int, type: String, source: XMLElement) throws(DomainXMLError) -> XMLElement {
        try element(
            "serial",
            ["type": type],
            children: [
                source,
                element(
                    "target",
                    ["type": "spapr-vio-serial", "port": "\(port)"],
                    children: [element("model", ["name": "spapr-vty"])]
                ),
            ]
        )
    }
}
