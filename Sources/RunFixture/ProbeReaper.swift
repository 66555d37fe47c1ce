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
    for entry in names(in: "/proc") {
        guard let processID = Int32(entry),
            let status = FileManager.default.contents(atPath: "/proc/\(processID)/stat")
        else { continue }
        // The name in parentheses, then state, parent, process group and session.
        let text = String(decoding: status, as: UTF8.self)
        guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")") else { continue }
        let fields = text[close...].split(separator: " ")
        // libvirt forks a daemon by way of a child in a session of its own, which still has this program's name, and
        // waits for that child itself.
        guard !text[open...].hasPrefix("(qemu-harness"), fields.count > 4, fields[1] == "Z",
            fields[2] == "\(getpid())", fields[4] != "\(getsid(0))"
        else { continue }
        waitpid(processID, nil, WNOHANG)
    }
}
