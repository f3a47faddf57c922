# Survival curves, competing risks and the discrimination of survival models, by survival and cmprsk.
# Rscript referee/competing.R OUT.json SHARED_DIR, from the project's root.
suppressWarnings(suppressMessages({library(survival); library(cmprsk); library(jsonlite)}))
arguments <- commandArgs(trailingOnly = TRUE)
d <- read.csv("tests/vectors/statistics/inputs/cohort.csv")
d$id <- seq_len(nrow(d))
d$state <- factor(d$status, 0:2, c("censored", "event", "competing"))
d$any <- as.integer(d$status > 0)
d$one <- as.integer(d$status == 1)
d$score <- 0.04 * d$age + 0.3 * d$male + 0.01 * d$sbp
d$coarse <- round(d$age / 10)
d$untied <- d$time + d$id * 1e-4
times <- c(70, 350, 700, 1400, 2000)
X <- as.matrix(d[, c("age", "male", "sbp", "smoker")])
new <- rbind(c(50, 0, 120, 0), c(70, 1, 150, 1))
tight <- coxph.control(eps = 1e-13, toler.chol = 1e-14, iter.max = 60)
plain <- function(x) unname(as.vector(x))
rows <- function(m) lapply(seq_len(nrow(m)), function(i) plain(m[i, ]))
at <- function(fit, what, side = NULL) {
  index <- findInterval(times, fit$time)
  value <- fit[[what]]
  if (is.matrix(value)) rows(value[index, , drop = FALSE]) else plain(value[index])
}
curve <- function(call) {
  f <- eval(parse(text = call))
  list(call = call, surv = at(f, "surv"), se = plain(f$std.err[findInterval(times, f$time)] * f$surv[findInterval(times, f$time)]),
       lower = at(f, "lower"), upper = at(f, "upper"), n_risk = at(f, "n.risk"), cumhaz = at(f, "cumhaz"),
       cumhaz_se = at(f, "std.chaz"), points = length(f$time))
}
states <- function(call) {
  f <- eval(parse(text = call))
  list(call = call, pstate = at(f, "pstate"), se = at(f, "std.err"), lower = at(f, "lower"), upper = at(f, "upper"))
}
out <- list(times = times)

# --- curves
out$km <- curve('survfit(Surv(time, any) ~ 1, d, conf.type = "log-log")')
out$km_entry <- curve('survfit(Surv(entry, time, any) ~ 1, d, conf.type = "log-log")')
f <- survfit(Surv(time, any) ~ 1, d, conf.type = "log-log")
q <- quantile(f, c(0.25, 0.5, 0.75))
out$km_quantile <- list(call = "quantile(survfit(Surv(time, any) ~ 1, d, conf.type = 'log-log'), c(.25, .5, .75))",
  p = c(0.25, 0.5, 0.75), value = plain(q$quantile), lower = plain(q$lower), upper = plain(q$upper))
r <- summary(f, rmean = 1400)$table
out$km_restricted_mean <- list(call = "summary(survfit(Surv(time, any) ~ 1, d), rmean = 1400)$table", mean = plain(r["rmean"]), se = plain(r["se(rmean)"]))
out$aj <- states('survfit(Surv(time, state) ~ 1, d, conf.type = "log-log")')
out$aj_entry <- states('survfit(Surv(entry, time, state) ~ 1, d, id = id, conf.type = "log-log")')
out$aj_by_hospital <- lapply(split(d, d$hospital), function(d) {
  f <- survfit(Surv(time, state) ~ 1, d)
  list(call = "survfit(Surv(time, state) ~ 1, d[d$hospital == h, ])", pstate = at(f, "pstate"), se = at(f, "std.err"))
})
ci <- timepoints(cuminc(d$time, d$status, d$hospital), times)$est
out$cuminc <- list(call = "timepoints(cuminc(d$time, d$status, d$hospital), times)$est", rows = rownames(ci), est = rows(ci))

# --- Gray's test
gray <- function(call) { t <- eval(parse(text = call))$Tests; list(call = call, stat = plain(t[, 1]), p = plain(t[, 2]), df = plain(t[, 3])) }
out$gray <- gray("cuminc(d$time, d$status, d$hospital)")
out$gray_rho <- gray("cuminc(d$time, d$status, d$hospital, rho = 1)")
out$gray_strata <- gray("cuminc(d$time, d$status, d$grade, strata = d$hospital)")
out$gray_two <- gray("cuminc(d$time, d$status, d$male)")

# --- Fine and Gray
fg <- function(call) {
  r <- eval(parse(text = call))
  p <- predict(r, new)
  list(call = call, coef = plain(r$coef), var = rows(r$var), invinf = rows(r$invinf), loglik = r$loglik,
       loglik_null = r$loglik.null, cif = rows(p[findInterval(times, p[, 1]), -1, drop = FALSE]))
}
out$crr_new <- list(call = "predict.crr(fit, new) at times", rows = rows(new))
out$crr <- fg("crr(d$time, d$status, X, gtol = 1e-14, maxiter = 60)")
out$crr_untied <- fg("crr(d$untied, d$status, X, gtol = 1e-14, maxiter = 60)")
out$crr_untied_rival <- fg("crr(d$untied, d$status, X, failcode = 2, gtol = 1e-14, maxiter = 60)")
out$crr_groups <- fg("crr(d$time, d$status, X, cengroup = d$hospital, gtol = 1e-14, maxiter = 60)")
formula_text <- "coxph(Surv(fgstart, fgstop, fgstatus) ~ age + male + sbp + smoker, f, weights = fgwt, ties = 'breslow', cluster = id, control = tight)"
geskus <- function(prepare, call) {
  f <- eval(parse(text = prepare))
  f$id <- d$id[match(f$id, d$id)]
  r <- suppressWarnings(eval(parse(text = call)))
  list(call = paste("f <-", prepare, ";", call), coef = plain(coef(r)), robust_var = rows(r$var), naive_var = rows(r$naive.var), loglik = plain(r$loglik))
}
out$finegray <- geskus("finegray(Surv(time, state) ~ ., d, etype = 'event')", formula_text)
out$finegray_entry <- geskus("finegray(Surv(entry, time, state) ~ ., d, etype = 'event', id = id)", formula_text)
d$centre <- d$hospital
out$finegray_strata <- geskus("finegray(Surv(time, state) ~ strata(hospital) + ., d, etype = 'event')",
  "coxph(Surv(fgstart, fgstop, fgstatus) ~ age + male + sbp + smoker + strata(centre), f, weights = fgwt, ties = 'breslow', cluster = id, control = tight)")
out$finegray_entry_strata <- geskus("finegray(Surv(entry, time, state) ~ strata(hospital) + ., d, etype = 'event', id = id)",
  "coxph(Surv(fgstart, fgstop, fgstatus) ~ age + male + sbp + smoker + strata(centre), f, weights = fgwt, ties = 'breslow', cluster = id, control = tight)")
call <- "coxph(Surv(time, one) ~ age + male + sbp + smoker, d, ties = 'breslow', control = tight)"
cox <- eval(parse(text = call))
out$cox <- list(call = call, coef = plain(coef(cox)), var = rows(cox$var), loglik = plain(cox$loglik))

# --- concordance
pairs <- function(call) {
  r <- eval(parse(text = call))
  count <- if (is.matrix(r$count)) colSums(r$count) else r$count
  list(call = call, c = plain(r$concordance), se = sqrt(plain(r$var)), count = plain(count))
}
out$harrell <- pairs("concordance(Surv(time, one) ~ score, d, reverse = TRUE)")
out$harrell_ties <- pairs("concordance(Surv(time, one) ~ coarse, d, reverse = TRUE)")
out$harrell_strata <- pairs("concordance(Surv(time, one) ~ coarse + strata(hospital), d, reverse = TRUE)")
out$harrell_entry <- pairs("concordance(Surv(entry, time, one) ~ coarse, d, reverse = TRUE)")
out$harrell_entry_strata <- pairs("concordance(Surv(entry, time, one) ~ score + strata(hospital), d, reverse = TRUE)")
out$uno <- pairs("concordance(Surv(time, one) ~ score, d, timewt = 'n/G2', reverse = TRUE)")
out$uno_tau <- pairs("concordance(Surv(time, one) ~ coarse, d, timewt = 'n/G2', ymax = 1400, reverse = TRUE)")

# --- at a horizon: weights by the Kaplan-Meier estimate of censoring, events before censorings at equal times
horizon <- 1400
shifted <- d$time + ifelse(d$status == 0, 1e-3, 0)
g <- survfit(Surv(shifted, d$status == 0) ~ 1)
G <- stepfun(g$time, c(1, g$surv))
case <- d$time <= horizon & d$status == 1
rival <- d$time <= horizon & d$status == 2
free <- d$time > horizon
w <- ifelse(case | rival, 1 / G(d$time - 1e-4), ifelse(free, 1 / G(horizon + 0.5), 0))
auc <- function(s, control) {
  grid <- outer(s[case], s[control], function(a, b) (a > b) + 0.5 * (a == b))
  sum(outer(w[case], w[control]) * grid) / (sum(w[case]) * sum(w[control]))
}
call <- "weights 1 / G(T-) and 1 / G(t) by survfit; weighted share of case-control pairs"
out$auc <- list(call = call, horizon = horizon, without_the_event = auc(d$coarse, free | rival), event_free = auc(d$coarse, free))
d$risk <- 1 - exp(-exp(d$score - 5.2))
f1 <- survfit(Surv(time, state) ~ 1, d)
null <- f1$pstate[findInterval(horizon, f1$time), 2]
b <- mean(w * (case - d$risk)^2); b0 <- mean(w * (case - null)^2)
out$brier <- list(call = "mean(w * (case - risk)^2), risk <- 1 - exp(-exp(score - 5.2))", horizon = horizon, brier = b, null_brier = b0, null_risk = plain(null), ipa = 1 - b / b0)

# --- calibration
tenth <- cut(d$risk, quantile(d$risk, 0:10 / 10), include.lowest = TRUE)
parts <- lapply(split(d, tenth), function(d) {
  f <- survfit(Surv(time, state) ~ 1, d, conf.type = "log-log"); i <- findInterval(horizon, f$time)
  list(n = nrow(d), expected = mean(d$risk), observed = plain(f$pstate[i, 2]), se = plain(f$std.err[i, 2]), lower = plain(f$lower[i, 2]), upper = plain(f$upper[i, 2]))
})
out$calibration <- list(call = "survfit(Surv(time, state) ~ 1) in cut(risk, quantile(risk, 0:10 / 10)), at the horizon", horizon = horizon,
  observed = plain(null), expected = mean(d$risk), groups = unname(parts))
ended <- pmin(d$untied, horizon); status <- ifelse(d$untied <= horizon, d$status, 0)
r <- crr(ended, status, log(-log(1 - d$risk)), gtol = 1e-14, maxiter = 60)
out$slope_competing <- list(call = "crr(pmin(untied, 1400), ifelse(untied <= 1400, status, 0), log(-log(1 - risk)))", slope = plain(r$coef), se = sqrt(plain(r$var)))
r <- coxph(Surv(pmin(time, horizon), time <= horizon & one == 1) ~ log(-log(1 - risk)), d, ties = "breslow", control = tight)
out$slope_single <- list(call = "coxph(Surv(pmin(time, 1400), time <= 1400 & one == 1) ~ log(-log(1 - risk)), ties = 'breslow')", slope = plain(coef(r)), se = sqrt(plain(r$var)))

write_json(out, arguments[1], digits = I(17), auto_unbox = TRUE, pretty = TRUE)
