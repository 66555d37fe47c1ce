// SPDX-License-Identifier: Apache-2.0

internal import CProcess
internal import Foundation
internal import SystemPackage

/// Has this process reap the daemons that it has started, such as the embedded driver's QEMUs: they become its children
/// (`PR_SET_CHILD_SUBREAPER`).
///
/// - Throws: `Errno` if the kernel refuses.
func becomeSubreaper() throws(Errno) {
    guard cprocess_become_child_subreaper() == 0 else { throw Errno(rawValue: errno) }
}

/// Lets libvirt start QEMUs that may end again before anybody watches them.
///
/// They end up as this process's children, as guests do, and are reaped here; libvirt would wait 40 seconds for each
/// otherwise. A ``QemuProcess`` that lives at the same time may not be told how its process ended.
func reapingProbes<Value: Sendable>(_ body: () async throws -> Value) async rethrows -> Value {
    let reaper = Task.detached {
        while !Task.isCancelled {
            reapProbes()
            try? await Task.sleep(for: .milliseconds(20))
        }
    }
    defer { reaper.cancel() }
    return try await body()
}

/// Reaps the QEMUs that have ended, whatever they are called: dead children which are daemons, and so were not started by
/// this process itself, which would reap its own.
private func reapProbes() {
    // Only a look: most of the time no child is dead, and then /proc need not be read.
    // A structure that lives for the length of the call, which fills it in.
    var child = unsafe siginfo_t()
    guard unsafe waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) == 0,
        unsafe child._sifields._sigchld.si_pid != 0
    else { return }
    let threadNames = Set(
        names(in: "/proc/self/task").compactMap { task in
            FileManager.default.contents(atPath: "/proc/self/task/\(task)/comm").map {
                String(decoding: $0.prefix { $0 != 0x0a }, as: UTF8.self)
            }
        })
    for entry in names(in: "/proc") {
        guard let processID = Int32(entry),
            let status = FileManager.default.contents(atPath: "/proc/\(processID)/stat"),
            isEndedDaemon(
                String(decoding: status, as: UTF8.self), parent: getpid(), session: getsid(0), threadNames: threadNames)
        else { continue }
        waitpid(processID, nil, WNOHANG)
    }
}

/// Whether a process is a dead child that is a daemon, by its line in /proc (proc_pid_stat(5)).
///
/// libvirt forks a daemon by way of a child in a session of its own, and waits for that child itself. It has executed
/// nothing, so it still has the name of the thread that forked it.
func isEndedDaemon(_ stat: String, parent: Int32, session: Int32, threadNames: Set<String>) -> Bool {
    // The name in parentheses, then state, parent, process group and session.
    guard let open = stat.firstIndex(of: "("), let close = stat.lastIndex(of: ")") else { return false }
    let fields = stat[close...].split(separator: " ")
    return fields.count > 4 && fields[1] == "Z" && fields[2] == "\(parent)" && fields[4] != "\(session)"
        && !threadNames.contains(String(stat[stat.index(after: open)..<close]))
}
