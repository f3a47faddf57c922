# What a Cox plan is given with: tests, concordance, robust errors, curves by hospital. By R's survival package.
# Rscript referee/survival.R OUT.json SHARED_DIR, from the project's root.
suppressWarnings(suppressMessages({library(survival); library(jsonlite)}))
arguments <- commandArgs(trailingOnly = TRUE)
d <- read.csv("tests/vectors/statistics/inputs/cohort.csv")
d$grade <- relevel(factor(d$grade), "2")
d$state <- factor(d$status, 0:2, c("censored", "event", "competing"))
d$id <- seq_len(nrow(d))
d$age_out <- round(d$age + d$time / 365.25, 3)
tight <- coxph.control(eps = 1e-13, toler.chol = 1e-15, iter.max = 60)
plain <- function(x) unname(as.vector(x))

cox <- function(right, data = d, left = "Surv(entry, time, status == 1)") {
  eval(parse(text = sprintf("coxph(%s ~ %s, data, ties = 'efron', control = tight)", left, right)))
}
FULL <- "age * male + sbp + grade + strata(hospital)"
without <- list(
  age = "male + sbp + grade + strata(hospital)", male = "age + sbp + grade + strata(hospital)",
  sbp = "age * male + grade + strata(hospital)", grade = "age * male + sbp + strata(hospital)",
  `age:male` = "age + male + sbp + grade + strata(hospital)"
)
columns <- list(age = c("age", "age:male"), male = c("male", "age:male"), sbp = "sbp", grade = c("grade1", "grade3"), `age:male` = "age:male")
full <- cox(FULL)
wald <- function(fit, names) {
  b <- coef(fit)[names]
  drop(t(b) %*% solve(vcov(fit)[names, names], b))
}
tests <- list(
  call = sprintf("coxph(Surv(entry, time, status == 1) ~ %s, ties = 'efron')", FULL),
  likelihood_ratio = lapply(without, function(right) 2 * (full$loglik[2] - cox(right)$loglik[2])),
  wald = lapply(columns, function(names) wald(full, names)),
  model = list(likelihood_ratio = 2 * diff(full$loglik), wald = full$wald.test, score = full$score),
  concordance = unname(full$concordance["concordance"])
)
zph <- function(fit, transform) {
  table <- cox.zph(fit, transform = transform, terms = FALSE)$table
  list(call = sprintf("cox.zph(fit, transform = '%s', terms = FALSE)", transform), chisq = as.list(table[, "chisq"]))
}

times <- c(250, 500, 750, 1000, 1250)
pick <- function(fit, times) {
  s <- summary(fit, times = times)
  list(time = times, n_risk = plain(s$n.risk), surv = plain(s$surv), lower = plain(s$lower), upper = plain(s$upper))
}
states <- function(fit, times) {
  s <- summary(fit, times = times)
  by <- function(x, cause) plain(x[, match(cause, s$states)])
  list(time = times, event = by(s$pstate, "event"), competing = by(s$pstate, "competing"), event_lower = by(s$lower, "event"),
       event_upper = by(s$upper, "event"), competing_lower = by(s$lower, "competing"), competing_upper = by(s$upper, "competing"))
}
by_hospital <- function(f) c(lapply(split(d, d$hospital), f), list(`all hospitals` = f(d)))

robust_se <- function(cluster) {
  d$cluster <- cluster
  as.list(sqrt(diag(vcov(coxph(Surv(entry, time, status == 1) ~ age + male + strata(hospital), d, ties = "efron", cluster = cluster, control = tight)))))
}

w <- read.csv(file.path(arguments[2], "data", "whas500.csv"))
W <- "age + gender + bmi + hr + sysbp + diasbp + chf + miord + mitype + cvd + afb"
whas <- cox(W, w, "Surv(lenfol, fstat)")

out <- list(
  tests = tests, zph = list(km = zph(full, "km"), identity = zph(full, "identity")),
  robust_se = list(robust = robust_se(d$id), hospital = robust_se(d$hospital)),
  concordance_two_strata = unname(cox("age + smoker + strata(hospital, male)")$concordance["concordance"]),
  kaplan_meier = by_hospital(function(data) {
    pick(survfit(Surv(time, status == 1) ~ 1, data, conf.type = "log-log"), times)
  }),
  aalen_johansen = by_hospital(function(data) {
    states(survfit(Surv(time, state) ~ 1, data, conf.type = "log-log"), times)
  }),
  aalen_johansen_entry = by_hospital(function(data) {
    states(survfit(Surv(entry, time, state) ~ 1, data, id = data$id, conf.type = "log-log"), c(200, 400, 600, 800, 1000, 1400))
  }),
  age_scale = c(
    list(call = "survfit(Surv(age, age_out, status > 0) ~ 1, d, start.time = 40)"),
    pick(survfit(Surv(age, age_out, status > 0) ~ 1, d, conf.type = "log-log", start.time = 40), c(45, 50, 55, 60))
  ),
  whas500 = list(
    call = sprintf("coxph(Surv(lenfol, fstat) ~ %s, whas500, ties = 'efron')", W), coef = as.list(coef(whas)), se = as.list(sqrt(diag(vcov(whas)))),
    concordance = unname(whas$concordance["concordance"]), zph = zph(whas, "km")
  ),
  R = R.version.string, survival = as.character(packageVersion("survival"))
)
write_json(out, arguments[1], digits = NA, auto_unbox = TRUE, pretty = TRUE)
