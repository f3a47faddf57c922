# Meta-analysis over hospitals, tests of hospital x term, and leave-one-hospital-out validation, by metafor and glm.
# Called as: Rscript referee/meta.R OUT.json SHARED_DIR (from the project's root)
suppressPackageStartupMessages({library(metafor); library(jsonlite); library(pROC)})
out <- commandArgs(TRUE)[1]

exact <- list(threshold = 1e-15, maxiter = 10000, tol = 1e-15)
profile <- list(tol = 1e-14, maxiter = 10000, tau2.max = 1e6)
interval <- function(low, high) c(unname(low), unname(high))

analyse <- function(yi, sei) {
  ask <- function(method, test = "z") rma(yi, sei = sei, method = method, test = test, control = exact)
  fe <- ask("FE"); dl <- ask("DL"); pm <- ask("PM"); reml <- ask("REML")
  knha <- ask("REML", "knha"); adhoc <- ask("REML", "adhoc"); t <- ask("REML", "t")
  brief <- function(m) list(estimate = c(m$beta), se = m$se, ci = interval(m$ci.lb, m$ci.ub), tau2 = m$tau2,
                            I2 = m$I2 / 100, H2 = m$H2, Q = m$QE, Q_p = m$QEp)
  qp <- confint(reml, control = profile)$random
  pz <- predict(reml); pk <- predict(knha)
  result <- list(
    yi = yi, sei = sei,
    FE = brief(fe), DL = brief(dl), PM = brief(pm), REML = brief(reml),
    knha = list(se = knha$se, ci = interval(knha$ci.lb, knha$ci.ub)),
    adhoc = list(se = adhoc$se, ci = interval(adhoc$ci.lb, adhoc$ci.ub)),
    tau2_ci = interval(qp["tau^2", "ci.lb"], qp["tau^2", "ci.ub"]),
    I2_ci = interval(qp["I^2(%)", "ci.lb"], qp["I^2(%)", "ci.ub"]) / 100,
    pi_normal = interval(pz$pi.lb, pz$pi.ub), pi_knha = interval(pk$pi.lb, pk$pi.ub))
  if (length(yi) > 2) {
    ph <- predict(t, pi.type = "riley")
    result$pi_higgins <- interval(ph$pi.lb, ph$pi.ub)
  }
  result
}

bcg <- escalc(measure = "RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg)
meta <- list(
  call = "rma(yi, sei = sei, method = M, test = T, control = list(threshold = 1e-15, maxiter = 1e4)); confint; predict(pi.type = default | 'riley')",
  bcg = analyse(c(bcg$yi), sqrt(c(bcg$vi))),
  homogeneous = analyse(c(0.30, 0.31, 0.28, 0.33, 0.29), c(0.2, 0.15, 0.1, 0.3, 0.12)),
  spread = analyse(c(-2, 1.5, 0.4, 3.2), c(0.05, 0.1, 0.02, 0.2)),
  two = analyse(c(0.1, 0.9), c(0.2, 0.25)),
  unequal = analyse(c(0.2, 0.9, -0.4, 0.6, 0.5, 1.8), c(0.01, 0.4, 0.3, 0.02, 0.9, 0.6)))

d <- read.csv("tests/vectors/statistics/inputs/cohort.csv")
d$hospital <- factor(d$hospital); d$g2 <- as.numeric(d$grade == 2); d$g3 <- as.numeric(d$grade == 3)
tight <- glm.control(epsilon = 1e-13, maxit = 100)
common <- glm(y ~ hospital + age + male + sbp + chol + smoker + g2 + g3 + noise, binomial, d, control = tight)
test_of <- function(extra) {
  wide <- update(common, paste(". ~ . +", extra))
  rao <- anova(common, wide, test = "Rao"); lrt <- anova(common, wide, test = "LRT")
  X <- model.matrix(wide); X <- X[, !is.na(coef(wide))]; mu <- fitted(common)
  U <- crossprod(X, common$y - mu); direct <- c(crossprod(U, solve(crossprod(X, X * mu * (1 - mu)), U)))
  list(df = rao$Df[2], score = direct, rao = rao$Rao[2], rao_p = rao$`Pr(>Chi)`[2], lr = lrt$Deviance[2], lr_p = lrt$`Pr(>Chi)`[2])
}
interaction <- list(
  call = "common <- glm(y ~ hospital + age + male + sbp + chol + smoker + g2 + g3 + noise, binomial); anova(common, update(common, . ~ . + hospital:TERM), test = 'Rao' | 'LRT'); score: t(U) solve(t(X) W X, U) at fitted(common), X of the wide model",
  age = test_of("hospital:age"), smoker = test_of("hospital:smoker"), grade = test_of("hospital:g2 + hospital:g3"),
  noise = test_of("hospital:noise"))
male_d <- d; male_d$male[male_d$hospital == "d"] <- 1
# glm's tolerance of rank is epsilon / 1000: a tight epsilon would keep the column that is aliased here.
common <- glm(y ~ hospital + age + male + sbp, binomial, male_d)
interaction$only_men_in_d <- list(
  call = "d$male[d$hospital == 'd'] <- 1; common <- glm(y ~ hospital + age + male + sbp, binomial); anova(common, update(common, . ~ . + hospital:male), test = 'Rao' | 'LRT')",
  male = test_of("hospital:male"))

terms <- c("age", "male", "sbp", "chol", "smoker")
left_out <- lapply(setNames(levels(d$hospital), levels(d$hospital)), function(h) {
  train <- droplevels(d[d$hospital != h, ]); new <- d[d$hospital == h, ]
  fit <- glm(reformulate(c(terms, "hospital", "-1"), "y"), binomial, train, control = tight)
  lp <- mean(coef(fit)[grepl("^hospital", names(coef(fit)))]) + as.matrix(new[, terms]) %*% coef(fit)[terms]
  lp <- c(lp); y <- new$y
  roc <- roc(y, lp, quiet = TRUE, direction = "<")
  slope <- summary(glm(y ~ lp, binomial, control = tight))$coefficients
  large <- summary(glm(y ~ offset(lp), binomial, control = tight))$coefficients
  list(n = length(y), observed = sum(y), expected = sum(plogis(lp)), c = c(auc(roc)), c_se = sqrt(var(roc)),
       slope = slope[2, 1], slope_se = slope[2, 2], large = large[1, 1], large_se = large[1, 2])
})
get <- function(what) vapply(left_out, function(x) x[[what]], 0)
c_ <- get("c"); o <- get("observed"); n <- get("n")
pooled <- function(yi, sei) {
  knha <- rma(yi, sei = sei, method = "REML", test = "knha", control = exact); p <- predict(knha)
  list(estimate = c(knha$beta), tau2 = knha$tau2, se = knha$se, ci = interval(knha$ci.lb, knha$ci.ub), pi = interval(p$pi.lb, p$pi.ub))
}
validation <- list(
  call = "fit <- glm(y ~ age + male + sbp + chol + smoker + hospital - 1, binomial, d[d$hospital != h, ]); lp <- mean(hospital intercepts) + X b; pROC::roc, var(roc); glm(y ~ lp); glm(y ~ offset(lp)); rma(method = 'REML', test = 'knha')",
  hospitals = left_out,
  logit_c = pooled(qlogis(c_), get("c_se") / (c_ * (1 - c_))),
  log_oe = pooled(log(o / get("expected")), sqrt((1 - o / n) / o)),
  slope = pooled(get("slope"), get("slope_se")),
  in_the_large = pooled(get("large"), get("large_se")))

write_json(list(meta = meta, interaction = interaction, leave_one_out = validation), out, digits = NA, auto_unbox = TRUE, pretty = TRUE)
