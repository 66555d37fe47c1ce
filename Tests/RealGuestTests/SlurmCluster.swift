// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Subprocess
import SystemPackage
import TestSupport
import Testing

/// Slurm on this machine: a controller and one node of two cores, on loopback, with all of their files in one folder.
struct SlurmCluster {
    private let configuration: String

    private enum Problem: Error { case noPort }

    private init(in folder: TemporaryFolder) throws {
        for name in ["state", "spool"] {
            try FileManager.default.createDirectory(
                at: folder.url.appending(path: name), withIntermediateDirectories: false)
        }
        let host = String(ProcessInfo.processInfo.hostName.prefix { $0 != "." })
        let (user, ports) = (NSUserName(), try Self.freePorts(count: 2))
        // With no daemon for credentials, who submits is believed: nobody else reaches the ports.
        let text = """
            ClusterName=test
            SlurmctldHost=\(host)(127.0.0.1)
            SlurmctldPort=\(ports[0])
            SlurmdPort=\(ports[1])
            CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
            AuthType=auth/none
            CredType=cred/none
            SlurmUser=\(user)
            SlurmdUser=\(user)
            StateSaveLocation=\(folder.path("state"))
            SlurmdSpoolDir=\(folder.path("spool"))
            SlurmctldPidFile=\(folder.path("slurmctld.pid"))
            SlurmdPidFile=\(folder.path("slurmd.pid"))
            SlurmctldLogFile=\(folder.path("slurmctld.log"))
            SlurmdLogFile=\(folder.path("slurmd.log"))
            SlurmdParameters=config_overrides
            ProctrackType=proctrack/linuxproc
            TaskPlugin=task/none
            SelectType=select/cons_tres
            SelectTypeParameters=CR_Core_Memory
            MpiDefault=none
            ReturnToService=2
            SchedulerParameters=sched_interval=1,batch_sched_delay=1
            NodeName=\(host) NodeAddr=127.0.0.1 CPUs=2 RealMemory=16384 State=UNKNOWN
            PartitionName=main Nodes=ALL Default=YES State=UP

            """
        configuration = try folder.write(Array(text.utf8), to: "slurm.conf")
    }

    /// Starts a cluster in a folder, and ends it when `body` is through.
    static func run(in folder: TemporaryFolder, _ body: (SlurmCluster) async throws -> Void) async throws {
        let cluster = try SlurmCluster(in: folder)
        try await cluster.daemon("slurmctld") {
            try await cluster.daemon("slurmd") {
                do {
                    try await body(cluster)
                } catch {
                    await cluster.endJobs()
                    throw error
                }
                await cluster.endJobs()
            }
        }
    }

    private func daemon(_ name: String, _ body: () async throws -> Void) async throws {
        _ = try await Subprocess.run(
            .path(FilePath("/usr/sbin/\(name)")), arguments: ["-D"], environment: environment, input: .none,
            output: .discarded, error: .discarded
        ) { execution in
            defer { kill(execution.processIdentifier.value, SIGTERM) }
            try await body()
        }
    }

    /// Jobs outlive the node's daemon.
    private func endJobs() async {
        _ = try? await run("/usr/bin/scancel", ["--partition=main"])
        for _ in 0..<100 {
            guard let jobs = try? await run("/usr/bin/squeue", ["--noheader"]).output, !jobs.isEmpty else { return }
            try? await Task.sleep(for: .milliseconds(500))
        }
    }

    private var environment: Environment { .inherit.updating(["SLURM_CONF": configuration]) }

    /// Runs a program that talks to this cluster.
    func run(_ program: String, _ arguments: [String]) async throws -> HarnessProcess.Ending {
        let result = try await Subprocess.run(
            .path(FilePath(program)), arguments: Arguments(arguments), environment: environment, input: .none,
            output: .string(limit: 1 << 20), error: .string(limit: 1 << 20))
        return HarnessProcess.Ending(
            status: result.terminationStatus, output: result.standardOutput, errors: result.standardError)
    }

    /// Ports of the loopback device that nobody listens on, found while all of them are held.
    private static func freePorts(count: Int) throws -> [UInt16] {
        var sockets: [FileDescriptor] = []
        defer { for socket in sockets { try? socket.close() } }
        return try (0..<count).map { _ in
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            guard descriptor >= 0 else { throw Problem.noPort }
            sockets.append(FileDescriptor(rawValue: descriptor))
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let isBound = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
                }
            }
            guard isBound else { throw Problem.noPort }
            return UInt16(bigEndian: address.sin_port)
        }
    }
}
