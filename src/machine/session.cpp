// SPDX-License-Identifier: Apache-2.0
#include "machine/session.hpp"

#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "machine/devices/device.hpp"
#include "machine/held_signal.hpp"
#include "machine/machine.hpp"
#include "machine/sandboxing.hpp"
#include "vmm/error_record.hpp"
#include "vmm/log.hpp"
#include "vmm/signals.hpp"
#include "vmm/text.hpp"
#include "vmm/thread.hpp"

namespace vmm::machine {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// How long a guest that was asked to power off may take. A terminal that went away (SIGHUP) takes
// the user with it, so nobody waits for the end there.
constexpr std::chrono::seconds kPowerOffTime{30};
constexpr std::chrono::seconds kHangUpTime{5};
constexpr std::chrono::milliseconds kDrainTime{1000};

std::string listed(const std::vector<std::string>& names) {
    std::string all;
    for (const auto& name : names)
        all += cat(all.empty() ? "" : ", ", name);
    return all;
}

/// One run: the loop's handlers and what they decided.
class Session final : public Commands {
public:
    struct Users {
        const Tell& tell;
        const Started& started;
        const Leave& leave;
    };

    Session(const VmConfig& config, const sandbox::Options& sandbox, const Users& users,
            std::unique_ptr<Events> events, HeldSignal look)
        : config_{config},
          sandbox_{sandbox},
          tell_{users.tell},
          started_{users.started},
          leave_{users.leave},
          policies_{config.on_reset, config.on_crash, config.on_panic},
          events_{std::move(events)},
          look_{std::move(look)} {}

    ~Session() override {
        woken_.release();  // the descriptors are events_', look_'s, ends_'s and the machine's
        device_ended_.release();
        look_came_.release();
        told_.release();
    }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    Result<Outcome> run(const MakePlatform& make) {
        woken_.assign(events_->fd());
        look_came_.assign(look_.fd());
        auto platform = VMM_TRY(make(config_));
        machine_ =
            VMM_TRY(Machine::create({config_, loop_, *events_, *this, tell_, std::move(platform)}));
        VMM_TRY(start());
        ends_ = VMM_TRY_OR(EndRequests::create(), "wait for signals");
        told_.assign(ends_->fd());
        log::info("started");  // now: a signal that follows it finds a machine that runs
        VMM_TRY(started_(*this));
        await_events();
        await_end();
        await_look();
        confine_this_thread(ThreadKind::Main);
        if (!over())
            loop_.run();
        return finish();
    }

    using Commands::ask;
    void ask(Command command, Answer answer) override {
        if (over())
            return answer(refusal("the machine has ended", {}));
        switch (command) {
            case Command::PowerButton:
                if (paused_)
                    return answer(
                        refusal("the machine is paused: its guest cannot see the power button",
                                "Resume it first, or quit."));
                machine_->press_power_button();
                return answer({});
            case Command::Reset:
                reset_answers_.push_back(std::move(answer));
                return reset();
            case Command::Pause:
                return pause(std::move(answer));
            case Command::Resume:
                return resume(std::move(answer));
            case Command::Quit:
                end({.ending = Ending::Quit, .value = 0, .message = {}, .advice = {}});
                return answer({});
            case Command::RecheckDisks:
                return machine_->look_at_disks(std::move(answer));
        }
    }

    void add_device(NewDevice device, Answer answer) override {
        if (const auto now = may_change_devices(); !now)
            return answer(now);
        answer(machine_->add_device(std::move(device)));
    }

    void remove_device(std::string id, Removal how, Answer answer) override {
        if (const auto now = may_change_devices(); !now)
            return answer(now);
        await_devices();
        machine_->remove_device(id, how, std::move(answer));
    }

private:
    Result<> start() {
        const WritersPaused paused{sandbox_};
        VMM_TRY(enter_sandbox(config_, sandbox_, tell_, paused));
        return machine_->start();
    }

    Result<> may_change_devices() const {
        if (over())
            return refusal("the machine has ended", {});
        if (resetting_)
            return refusal("the machine is being reset", "Try it again when that is done.");
        return {};
    }

    void pause(Answer answer) {
        if (resetting_)
            return answer(refusal("the machine is being reset", "Pause it when that is done."));
        if (std::exchange(paused_, true))
            return answer(refusal("the machine is paused already", {}));
        machine_->pause();
        await_devices();
        pause_answer_ = std::move(answer);
        stop_limit_.expires_after(stop_timeout());
        stop_limit_.async_wait([this](error_code cancelled) {
            if (!cancelled && !over() && pause_answer_)
                answer_pause(std::unexpected(not_quiet(machine_->devices_not_quiet())));
        });
        pause_when_quiet();
    }

    /// Devices are asked to finish what they have, and the loop goes on meanwhile.
    void pause_when_quiet() {
        if (pause_answer_ && machine_->devices_not_quiet().empty())
            answer_pause({});
    }

    void answer_pause(const Result<>& done) {
        stop_limit_.cancel();
        std::exchange(pause_answer_, {})(done);
    }

    Error not_quiet(const std::vector<std::string>& devices) const {
        return Error{ErrorKind::Os,
                     cat(listed(devices), " did not stop within ", config_.stop_timeout,
                         " s (--stop-timeout): the host does not answer what the guest asked of "
                         "it")}
            .hint("No vCPU runs, but these may still change the guest's RAM.");
    }

    void resume(Answer answer) {
        if (!std::exchange(paused_, false))
            return answer(refusal("the machine is not paused", {}));
        if (pause_answer_)
            answer_pause(refusal("the machine was resumed before its devices had paused", {}));
        machine_->resume();
        answer({});
    }

    static std::unexpected<Error> refusal(std::string_view why, std::string_view advice) {
        Error error{ErrorKind::Config, std::string{why}};
        return std::unexpected(advice.empty() ? std::move(error)
                                              : std::move(error).hint(std::string{advice}));
    }

    void await_events() {
        woken_.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code failed) {
            if (failed)
                return;
            while (!over())
                if (auto taken = events_->take())
                    handle(std::move(*taken));
                else
                    break;
            if (!over())
                await_events();
        });
    }

    void handle(Events::Taken taken) {
        auto decision = decide(taken.event, policies_, std::move(taken.words.text));
        decision.outcome.advice = std::move(taken.words.advice);
        switch (decision.what) {
            case Decision::Do::Continue:
                return note(taken.event);
            case Decision::Do::Pause:
                log::warn(
                    "the guest's kernel panicked: paused, as --on-panic says; SIGTERM ends the "
                    "machine");
                return ask(Command::Pause, [](const Result<>& done) {
                    if (!done)
                        log::warn("the pause is incomplete: ", record_of(done.error()));
                });
            case Decision::Do::Reset:
                return reset();
            case Decision::Do::End:
                if (taken.event == Event::TestExit)
                    decision.outcome.value = events_->exit_value();
                return end(std::move(decision.outcome));
        }
    }

    /// What the guest survives, it can say as often as it likes.
    void note(Event event) {
        if (event == Event::CrashKernelLoaded && !std::exchange(crash_noted_, true))
            log::warn(
                "the guest's kernel crashed and hands over to its crash kernel; this line comes "
                "once");
        if (event == Event::Panicked && !std::exchange(panic_noted_, true))
            log::warn(
                "the guest's kernel panicked and goes on, as --on-panic says; this line comes "
                "once");
    }

    /// Devices are asked to stop, and the loop goes on meanwhile: the host may take its time.
    void reset() {
        if (std::exchange(resetting_, true))
            return;
        log::info("reset");
        if (pause_answer_)
            answer_pause(refusal("the machine was reset before its devices had paused", {}));
        machine_->begin_reset();
        await_devices();
        stop_limit_.expires_after(stop_timeout());
        stop_limit_.async_wait([this](error_code cancelled) {
            if (!cancelled && !over())
                leave_behind(machine_->busy_devices());
        });
        reset_when_stopped();
    }

    void reset_when_stopped() {
        machine_->device_ended();  // before the look: what ends after it is told
        if (machine_->busy_devices().empty())
            finish_reset();
    }

    /// From the first time on that somebody waits for a device.
    void await_devices() {
        if (device_ended_.is_open())
            return;
        device_ended_.assign(machine_->ended_fd());
        await_device();
    }

    void await_device() {
        device_ended_.async_wait(asio::posix::stream_descriptor::wait_read,
                                 [this](error_code failed) {
                                     if (failed || over())
                                         return;
                                     if (resetting_)
                                         reset_when_stopped();
                                     else
                                         device_ended();
                                     if (!over())
                                         await_device();
                                 });
    }

    void device_ended() {
        machine_->device_ended();
        pause_when_quiet();
    }

    void finish_reset() {
        stop_limit_.cancel();
        resetting_ = false;
        paused_ = false;
        reset_done_ = machine_->finish_reset();
        if (!reset_done_) {
            reset_done_ =
                std::unexpected(std::move(reset_done_.error()).context("reset the machine"));
            loop_.stop();
        }
        for (auto& answer : std::exchange(reset_answers_, {}))
            answer(reset_done_);
    }

    std::chrono::seconds stop_timeout() const { return std::chrono::seconds{config_.stop_timeout}; }

    /// Does not return unless `busy` is empty.
    void leave_behind(const std::vector<std::string>& busy) {
        if (busy.empty())
            return;
        if (outcome_ && !outcome_->message.empty())
            tell_(outcome_->message);
        const bool told = told_by_ != 0;
        leave_({.ending = told ? Ending::Signalled : Ending::HostFailed,
                .value = told_by_,
                .message = cat(listed(busy), " did not stop within ", config_.stop_timeout,
                               " s (--stop-timeout): the host does not answer what the guest asked "
                               "of it"),
                .advice = "Look at the file system or device that it is on. Until that answers, "
                          "the kernel may keep the process, which has nothing left to do."});
    }

    void await_end() {
        told_.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code failed) {
            if (failed || over())
                return;
            if (const auto request = ends_->take())
                asked_to_end(*request);
            if (!over())
                await_end();
        });
    }

    void asked_to_end(EndRequests::Request request) {
        if (told_by_ != 0)
            return end_by_signal();
        told_by_ = request.signal;
        if (request.times > 1 || paused_)  // a paused guest does not see the power button
            return end_by_signal();
        log::info("asked to end by ", signal_name(told_by_), ": pressing the power button");
        Commands::ask(Command::PowerButton);
        patience_.expires_after(told_by_ == SIGHUP ? kHangUpTime : kPowerOffTime);
        patience_.async_wait([this](error_code cancelled) {
            if (!cancelled && !over())
                end_by_signal();
        });
    }

    /// SIGUSR1: disks may have other sizes now.
    void await_look() {
        look_came_.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code failed) {
            if (failed || over())
                return;
            if (look_.take())
                Commands::ask(Command::RecheckDisks);
            await_look();
        });
    }

    void end_by_signal() {
        end({.ending = Ending::Signalled,
             .value = told_by_,
             .message = cat("ended by ", signal_name(told_by_), "; the guest had not powered off"),
             .advice = {}});
    }

    void end(Outcome outcome) {
        outcome_ = std::move(outcome);
        loop_.stop();
    }

    bool over() const { return outcome_ || !reset_done_; }

    Result<Outcome> finish() {
        told_.release();
        ends_.reset();  // the guest has ended: whoever cannot wait for the rest may end it at once
        machine_->stop();
        for (const auto& lost : machine_->drain(kDrainTime))
            tell_(lost);
        leave_behind(machine_->stop_devices(stop_timeout()));
        if (!reset_done_)  // whatever it was: something had been started
            return std::unexpected(std::move(reset_done_.error()).as(ErrorKind::Os));
        auto outcome = std::move(outcome_).value_or(Outcome{});
        if (const auto panic = machine_->last_panic();
            !panic.empty() && outcome.ending != Ending::PoweredOff)
            outcome.message += cat(outcome.message.empty() ? "" : "\n  ", "guest: ", panic);
        return outcome;
    }

    const VmConfig& config_;
    const sandbox::Options& sandbox_;
    const Tell& tell_;
    const Started& started_;
    const Leave& leave_;
    Policies policies_;
    std::unique_ptr<Events> events_;
    HeldSignal look_;
    std::unique_ptr<EndRequests> ends_;  // while the guest runs
    asio::io_context loop_{1};
    asio::posix::stream_descriptor woken_{loop_};
    asio::posix::stream_descriptor look_came_{loop_};
    asio::posix::stream_descriptor told_{loop_};
    asio::posix::stream_descriptor device_ended_{loop_};
    asio::steady_timer stop_limit_{loop_};  // of devices, for a reset or a pause
    asio::steady_timer patience_{loop_};
    std::unique_ptr<Machine> machine_;
    Answer pause_answer_;                // null: no pause is under way
    std::vector<Answer> reset_answers_;  // of those who asked for the reset that is under way
    bool resetting_ = false;
    bool paused_ = false;
    int told_by_ = 0;  // signal
    bool crash_noted_ = false;
    bool panic_noted_ = false;
    std::optional<Outcome> outcome_;
    Result<> reset_done_;  // the last one; an error ends the machine
};

/// To what an administrator allows.
void raise_limit(int what) {
    rlimit limit{};
    if (::getrlimit(what, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        ::setrlimit(what, &limit);
    }
}

}  // namespace

Result<Outcome> run(const VmConfig& config, const Tell& tell, const Started& started,
                    const Leave& leave, const sandbox::Options& sandbox, const MakePlatform& make) {
    raise_limit(RLIMIT_NOFILE);   // the usual 1024, which select() needs, would be some 120 disks
    raise_limit(RLIMIT_MEMLOCK);  // io_uring of Linux before 5.12 counts its rings
    // One heap for all threads: a heap for each vCPU thread would cost memory and start-up time,
    // and no data path allocates.
    ::mallopt(M_ARENA_MAX, 1);
    auto look = VMM_TRY_OR(HeldSignal::create(SIGUSR1), "wait for SIGUSR1");
    auto events = VMM_TRY(Events::create({config.on_reset, config.on_crash, config.on_panic}));
    try {
        Session session{
            config, sandbox, {tell, started, leave}, std::move(events), std::move(look)};
        return session.run(make);
    } catch (const boost::system::system_error& failure) {  // Asio's way to say that a call failed
        return std::unexpected(Error::os("event loop", failure.code().value()));
    }
}

}  // namespace vmm::machine
