// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import HarnessBasics
import TestSupport
import Testing

@testable import Guests

@Suite struct GuestImagesTests {
    private let folder: TemporaryFolder
    private var environment: [String: String] { ["XDG_CACHE_HOME": folder.path("cache")] }

    init() throws { folder = try TemporaryFolder() }

    @Test func takesAFileThatIsAKernel() throws {
        let path = try folder.write(elfHeader(), to: "vmlinux")
        #expect(try GuestImages.kernel(named: path, environment: environment).path == path)
    }

    @Test func takesAFetchedKernelByName() throws {
        let path = try folder.write(elfHeader(), to: "cache/qemu-harness/kernels/6.1/vmlinux")
        #expect(try GuestImages.kernel(named: "6.1", environment: environment).path == path)
    }

    @Test(
        arguments: [
            ([], "is no ELF file"), (Array("root:x:0:0".utf8) + Array(repeating: 0x20, count: 40), "is no ELF file"),
            (Array(elfHeader().prefix(19)), "is no ELF file"),
            (elfHeader(bits: 1, machine: 20), "is an ELF file for machine 20 with 32 bits"),
            (elfHeader(bits: 1), "is an ELF file for machine 21 with 32 bits"),
            (elfHeader(machine: 62), "is an ELF file for machine 62 with 64 bits"),
            (elfHeader(order: 2, machine: 62), "is an ELF file for machine 62 with 64 bits"),
            (elfHeader(order: 3), "is an ELF file of byte order 3; 1 is little-endian, 2 big-endian"),
        ] as [([UInt8], String)])
    func refusesWhatTheGuestCannotBootFrom(bytes: [UInt8], reason: String) throws {
        let path = try folder.write(bytes, to: "vmlinux")
        let error = try #require(throws: HarnessError.self) {
            try GuestImages.kernel(named: path, environment: environment)
        }
        #expect("\(error)".hasPrefix("the kernel \(path) \(reason)"))
        #expect(error == .usage("\(error)"))
        // A fetched file is not trusted more.
        try folder.write(bytes, to: "cache/qemu-harness/kernels/6.1/vmlinux")
        #expect(throws: HarnessError.self) { try GuestImages.kernel(named: "6.1", environment: environment) }
    }

    @Test func refusesAFolderAndAPathThatLeadsNowhere() throws {
        for path in [folder.url.path, folder.path("missing/vmlinux")] {
            let error = try #require(throws: HarnessError.self) {
                try GuestImages.kernel(named: path, environment: environment)
            }
            #expect(error == .usage("\(error)"))
            #expect("\(error)".contains(path))
        }
    }

    @Test func anUnknownNameListsWhatIsThere() throws {
        let start = "no kernel '9.9': it is no file, and no kernel of that name was fetched with scripts/guest-kernel "
        #expect(throws: HarnessError.usage(start + "(none is fetched yet)")) {
            try GuestImages.kernel(named: "9.9", environment: environment)
        }
        for name in ["6.6", "6.1", ".partial"] {
            try folder.write(elfHeader(), to: "cache/qemu-harness/kernels/\(name)/vmlinux")
        }
        #expect(throws: HarnessError.usage(start + "(fetched are: 6.1, 6.6)")) {
            try GuestImages.kernel(named: "9.9", environment: environment)
        }
    }

    @Test(arguments: [(1, ByteOrder.little), (2, .big)] as [(UInt8, ByteOrder)])
    func theKernelTellsItsByteOrder(mark: UInt8, order: ByteOrder) throws {
        let kernel = try GuestImages.kernel(
            named: folder.write(elfHeader(order: mark), to: "vmlinux"), environment: environment)
        #expect(try GuestImages.byteOrder(ofKernel: kernel) == order)
    }

    @Test(arguments: [(ByteOrder.little, "ppc64le"), (.big, "ppc64")])
    func theEnvironmentNamesTheAgentsFolder(order: ByteOrder, machine: String) throws {
        let path = try folder.write([1], to: "agent/initramfs-\(machine).cpio.gz")
        let executable = folder.url.appending(path: "build/debug/qemu-harness")
        let environment = [GuestImages.agentVariable: folder.path("agent")]
        #expect(try GuestImages.initramfs(order, environment: environment, executable: executable).path == path)
        try FileManager.default.removeItem(atPath: path)
        // What is named counts, also when the agent stands where it is looked for otherwise.
        try folder.write([1], to: "build/guest/initramfs-\(machine).cpio.gz")
        #expect(
            throws: HarnessError.infrastructure("no agent at \(path), where \(GuestImages.agentVariable) points")
        ) {
            try GuestImages.initramfs(order, environment: environment, executable: executable)
        }
    }

    @Test func theAgentIsFoundAboveTheProgram() throws {
        let executable = folder.url.appending(path: "build/x86_64/debug/qemu-harness")
        try folder.write([], to: "build/x86_64/debug/qemu-harness")
        #expect(throws: HarnessError.infrastructure("the agent is not built for ppc64le: run scripts/build-agent")) {
            try GuestImages.initramfs(.little, environment: [:], executable: executable)
        }
        let path = try folder.write([1], to: "build/guest/initramfs-ppc64le.cpio.gz")
        #expect(try GuestImages.initramfs(.little, environment: [:], executable: executable).path == path)
        // An agent of the other byte order is none.
        #expect(throws: HarnessError.infrastructure("the agent is not built for ppc64: run scripts/build-agent")) {
            try GuestImages.initramfs(.big, environment: [:], executable: executable)
        }
    }

    @Test(arguments: [("/var/cache", "/var/cache/qemu-harness"), ("relative", nil), ("", nil)] as [(String, String?)])
    func theCacheFollowsTheEnvironment(value: String, path: String?) {
        let home = FileManager.default.homeDirectoryForCurrentUser.appending(path: ".cache/qemu-harness").path
        #expect(GuestImages.cache(["XDG_CACHE_HOME": value]).path == path ?? home)
        #expect(GuestImages.cache([:]).path == home)
    }
}
