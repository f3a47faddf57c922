# Performance, increment and nested tests on the generated cohort, by pROC, rms, Hmisc and stats.
# Called as: Rscript referee/performance.R OUT.json SHARED_DIR, from the project root.
suppressMessages({
  library(jsonlite)
  library(pROC)
  library(rms)
  library(Hmisc)
})
arguments <- commandArgs(trailingOnly = TRUE)
d <- read.csv("tests/vectors/statistics/inputs/cohort.csv")
d$grade2 <- as.numeric(d$grade == 2)
d$grade3 <- as.numeric(d$grade == 3)
tight <- glm.control(epsilon = 1e-14, maxit = 100)
out <- list()

# --- one split: odd rows (counted from 1) to learn from, even rows to judge
train <- d[seq(1, nrow(d), 2), ]
test <- d[seq(2, nrow(d), 2), ]
base <- glm(y ~ age + male, binomial, train, control = tight)
new <- glm(y ~ age + male + sbp + chol + smoker, binomial, train, control = tight)
p_base <- as.vector(predict(base, test, type = "response"))
p <- as.vector(predict(new, test, type = "response"))
lp <- qlogis(p)
y <- test$y

delong <- function(scores) {
  r <- roc(y, scores, direction = "<", quiet = TRUE)
  ci <- as.vector(ci.auc(r, method = "delong"))
  list(call = "pROC::ci.auc(roc(y, scores, direction = '<'), method = 'delong'); var(roc)",
       auc = as.numeric(r$auc), se = sqrt(var(r, method = "delong")), ci_low = ci[1], ci_high = ci[3])
}
out$delong <- list(model = delong(p), ties = delong(round(p, 1)))
unnested <- roc.test(roc(y, test$age, direction = "<", quiet = TRUE), roc(y, test$sbp, direction = "<", quiet = TRUE),
                     method = "delong", paired = TRUE)
nested <- roc.test(roc(y, p, direction = "<", quiet = TRUE), roc(y, p_base, direction = "<", quiet = TRUE),
                   method = "delong", paired = TRUE)
out$unnested <- list(call = "pROC::roc.test(roc(y, age), roc(y, sbp), method = 'delong', paired = TRUE)",
                     z = as.numeric(unnested$statistic), p = unnested$p.value,
                     first = as.numeric(unnested$estimate[1]), second = as.numeric(unnested$estimate[2]))
out$difference <- list(call = "pROC::roc.test(roc(y, p_new), roc(y, p_base), method = 'delong')$conf.int",
                       value = as.numeric(nested$estimate[1] - nested$estimate[2]),
                       ci_low = nested$conf.int[1], ci_high = nested$conf.int[2])

# --- accuracy and explained variation of a fit on its own rows
fit <- glm(y ~ age + male + sbp + chol + smoker, binomial, d, control = tight)
n <- nrow(d)
ll <- as.numeric(logLik(fit))
ll0 <- -fit$null.deviance / 2
f <- lrm(y ~ age + male + sbp + chol + smoker, d, eps = 1e-12, tol = 1e-14, maxit = 50)
out$accuracy <- list(
  call = "f <- rms::lrm(y ~ age + male + sbp + chol + smoker, eps = 1e-12); glm of the same for the log-likelihoods",
  nagelkerke = as.numeric(f$stats["R2"]), brier = as.numeric(f$stats["Brier"]), auc = as.numeric(f$stats["C"]),
  cox_snell = 1 - exp(2 * (ll0 - ll) / n), mcfadden = 1 - ll / ll0,
  tjur = mean(fitted(fit)[d$y == 1]) - mean(fitted(fit)[d$y == 0]),
  scaled_brier = 1 - mean((d$y - fitted(fit))^2) / (mean(d$y) * (1 - mean(d$y))),
  log_loss = -ll / n, loglik = ll, null_loglik = ll0)

# --- calibration on the even rows
large <- glm(y ~ offset(lp), family = binomial, control = tight)
slope <- glm(y ~ lp, family = binomial, control = tight)
out$calibration <- list(
  call = "glm(y ~ offset(qlogis(p)), binomial); glm(y ~ qlogis(p), binomial)",
  in_the_large = as.numeric(coef(large)), in_the_large_se = sqrt(vcov(large)[1, 1]),
  intercept = as.numeric(coef(slope)[1]), intercept_se = sqrt(vcov(slope)[1, 1]),
  slope = as.numeric(coef(slope)[2]), slope_se = sqrt(vcov(slope)[2, 2]), o_e = sum(y) / sum(p))
cuts <- unique(quantile(p, (1:9) / 10, type = 1))
group <- cut(p, c(-Inf, cuts, Inf), right = TRUE)
out$groups <- list(call = "cut(p, c(-Inf, unique(quantile(p, (1:9) / 10, type = 1)), Inf)); binconf(method = 'wilson')",
                   n = as.vector(table(group)), mean_predicted = as.vector(tapply(p, group, mean)),
                   events = as.vector(tapply(y, group, sum)),
                   ci_low = as.vector(binconf(tapply(y, group, sum), table(group), method = "wilson")[, 2]),
                   ci_high = as.vector(binconf(tapply(y, group, sum), table(group), method = "wilson")[, 3]))
knots <- as.vector(quantile(lp, c(.05, .35, .65, .95)))
smooth <- glm(y ~ rcspline.eval(lp, knots = knots, inclx = TRUE), family = binomial, control = tight)
distance <- abs(fitted(smooth) - p)
grid <- as.vector(seq(quantile(p, .01), quantile(p, .99), length.out = 20))
design <- cbind(1, rcspline.eval(qlogis(grid), knots = knots, inclx = TRUE))
eta <- as.vector(design %*% coef(smooth))
half <- qnorm(.975) * sqrt(rowSums((design %*% vcov(smooth)) * design))
out$flexible <- list(
  call = "glm(y ~ Hmisc::rcspline.eval(qlogis(p), knots = quantile(qlogis(p), c(.05, .35, .65, .95)), inclx = TRUE))",
  knots = knots, ici = mean(distance), e50 = as.numeric(median(distance)),
  e90 = as.numeric(quantile(distance, .9)), e_max = max(distance),
  predicted = grid, observed = plogis(eta), ci_low = plogis(eta - half), ci_high = plogis(eta + half))

# --- optimism: B large enough for a comparison within its Monte Carlo error
d_rms <- d
g <- lrm(y ~ age + male + sbp + chol + smoker + hospital, d_rms, x = TRUE, y = TRUE)
set.seed(1)
v <- validate(g, B = 600, group = d_rms$hospital)
out$optimism <- list(
  call = "set.seed(1); rms::validate(lrm(y ~ age + male + sbp + chol + smoker + hospital), B = 600, group = hospital)",
  auc_apparent = v["Dxy", "index.orig"] / 2 + .5, auc_optimism = v["Dxy", "optimism"] / 2,
  slope_optimism = v["Slope", "optimism"], brier_apparent = v["B", "index.orig"], brier_optimism = v["B", "optimism"])

# --- net benefit, with bootstrap standard errors
nb <- function(y, p, t, prev) {
  tpr <- mean(p[y == 1] >= t)
  fpr <- mean(p[y == 0] >= t)
  tpr * prev - fpr * (1 - prev) * t / (1 - t)
}
thresholds <- c(.3, .45, .55, .65)
set.seed(2)
rows <- replicate(2000, sample(length(y), replace = TRUE))
bootstrap <- function(statistic) sapply(thresholds, function(t) sd(apply(rows, 2, function(i) statistic(i, t))))
out$net_benefit <- list(
  call = "TPR * prev - FPR * (1 - prev) * t / (1 - t); SE: sd of 2000 bootstrap replicates, set.seed(2)",
  threshold = thresholds,
  model = sapply(thresholds, function(t) nb(y, p, t, mean(y))),
  model_boot_se = bootstrap(function(i, t) nb(y[i], p[i], t, mean(y[i]))),
  standardised_boot_se = bootstrap(function(i, t) nb(y[i], p[i], t, mean(y[i])) / mean(y[i])),
  difference_boot_se = bootstrap(function(i, t) nb(y[i], p[i], t, mean(y[i])) - nb(y[i], p_base[i], t, mean(y[i]))),
  at_prevalence_5 = sapply(thresholds, function(t) nb(y, p, t, .05)),
  at_prevalence_5_boot_se = bootstrap(function(i, t) nb(y[i], p[i], t, .05)))

# --- reclassification and discrimination improvement
parts <- function(x) list(nri_events = x$nri.ev, nri_events_se = x$se.nri.ev, nri_nonevents = x$nri.ne,
                          nri_nonevents_se = x$se.nri.ne, nri = x$nri, nri_se = x$se.nri, up_events = x$pup.ev,
                          down_events = x$pdown.ev, idi = x$idi, idi_se = x$se.idi,
                          idi_events = x$improveSens, idi_nonevents = x$improveSpec)
category <- function(p) findInterval(p, c(.45, .6))
out$improve <- list(call = "Hmisc::improveProb(p_base, p_new, y); of findInterval(p, c(.45, .6)) / 3 for the categories",
                    continuous = parts(improveProb(p_base, p, y)),
                    categorical = parts(improveProb(category(p_base) / 3, category(p) / 3, y))[1:8],
                    table_events = unclass(table(factor(category(p_base), 0:2), factor(category(p), 0:2), y)[, , "1"]),
                    table_nonevents = unclass(table(factor(category(p_base), 0:2), factor(category(p), 0:2), y)[, , "0"]))

# --- nested tests with hospital intercepts; base model, score as one column, score as offset
d$score <- -9 + 0.08 * d$age + 0.02 * d$sbp
nested_tests <- function(without, with, added) {
  f0 <- glm(without, binomial, d, control = tight)
  f1 <- glm(with, binomial, d, control = tight)
  lr <- anova(f0, f1, test = "LRT")
  rao <- anova(f0, f1, test = "Rao")
  list(call = paste("anova(glm(", deparse(without), "), glm(", paste(deparse(with), collapse = ""), "), test = LRT, Rao)"),
       lr = lr$Deviance[2], lr_p = lr[["Pr(>Chi)"]][2], rao = rao$Rao[2], df = lr$Df[2],
       coef = as.vector(coef(f1)[added]), se = as.vector(sqrt(diag(vcov(f1)))[added]),
       loglik_base = as.numeric(logLik(f0)), loglik_full = as.numeric(logLik(f1)))
}
out$nested <- list(
  columns = nested_tests(y ~ hospital + age + male, y ~ hospital + age + male + chol + grade2 + grade3,
                         c("chol", "grade2", "grade3")),
  one_column = nested_tests(y ~ hospital + score, y ~ hospital + score + chol + smoker, c("chol", "smoker")),
  offset = nested_tests(y ~ hospital + offset(score), y ~ hospital + offset(score) + chol + smoker, c("chol", "smoker")))
statistics <- c(0, 0.5, 3.84, 40, 1105.44972927761, 3000, 20000)
out$chi_square <- list(call = "pchisq(statistic, df, lower.tail = FALSE, log.p = TRUE) / log(10)", statistic = statistics,
                       df1 = pchisq(statistics, 1, lower.tail = FALSE, log.p = TRUE) / log(10),
                       df2 = pchisq(statistics, 2, lower.tail = FALSE, log.p = TRUE) / log(10),
                       df7 = pchisq(statistics, 7, lower.tail = FALSE, log.p = TRUE) / log(10))

# --- the study's own model on its own rows, with an intercept for each hospital, and an increment there
own <- glm(y ~ age + male + sbp + chol + smoker + hospital, binomial, d, control = tight)
q <- as.vector(fitted(own))
lq <- qlogis(q)
ll <- as.numeric(logLik(own))
cox_snell <- 1 - exp(2 * (ll0 - ll) / n)
cuts <- unique(quantile(q, (1:9) / 10, type = 1))
group <- cut(q, c(-Inf, cuts, Inf), right = TRUE)
knots <- as.vector(quantile(lq, c(.05, .35, .65, .95)))
smooth <- glm(d$y ~ rcspline.eval(lq, knots = knots, inclx = TRUE), family = binomial, control = tight)
design <- cbind(1, rcspline.eval(qlogis(c(.3, .5, .7)), knots = knots, inclx = TRUE))
base <- glm(y ~ hospital + age + male, binomial, d, control = tight)
new <- glm(y ~ hospital + age + male + chol + grade2 + grade3, binomial, d, control = tight)
improved <- improveProb(as.vector(fitted(base)), as.vector(fitted(new)), d$y)
difference <- roc.test(roc(d$y, fitted(new), direction = "<", quiet = TRUE),
                       roc(d$y, fitted(base), direction = "<", quiet = TRUE), method = "delong", paired = TRUE)
of <- function(rises) c(mean(rises), sd(rises) / sqrt(length(rises)))
rise <- as.vector(fitted(new) - fitted(base))
out$apparent <- list(
  call = "own <- glm(y ~ age + male + sbp + chol + smoker + hospital, binomial); pROC, rms and Hmisc of fitted(own)",
  auc = as.list(setNames(as.vector(ci.auc(roc(d$y, q, direction = "<", quiet = TRUE), method = "delong")),
                         c("ci_low", "auc", "ci_high"))),
  brier = mean((d$y - q)^2), scaled_brier = 1 - mean((d$y - q)^2) / (mean(d$y) * (1 - mean(d$y))),
  cox_snell = cox_snell, nagelkerke = cox_snell / (1 - exp(2 * ll0 / n)), mcfadden = 1 - ll / ll0,
  tjur = mean(q[d$y == 1]) - mean(q[d$y == 0]),
  slope_se = sqrt(vcov(glm(d$y ~ lq, family = binomial, control = tight))[2, 2]),
  in_the_large_se = sqrt(vcov(glm(d$y ~ offset(lq), family = binomial, control = tight))[1, 1]),
  group_n = as.vector(table(group)), group_events = as.vector(tapply(d$y, group, sum)),
  group_predicted = as.vector(tapply(q, group, mean)),
  curve_at = c(.3, .5, .7), curve = plogis(as.vector(design %*% coef(smooth))),
  threshold = thresholds, sensitivity = sapply(thresholds, function(t) mean(q[d$y == 1] >= t)),
  specificity = sapply(thresholds, function(t) mean(q[d$y == 0] < t)),
  net_benefit = sapply(thresholds, function(t) nb(d$y, q, t, mean(d$y))),
  increment = list(
    idi = improved$idi, idi_se = improved$se.idi,
    idi_events = of(rise[d$y == 1])[1], idi_events_se = of(rise[d$y == 1])[2],
    idi_nonevents = of(-rise[d$y == 0])[1], idi_nonevents_se = of(-rise[d$y == 0])[2],
    nri_events = improved$nri.ev, nri_events_se = improved$se.nri.ev,
    nri_nonevents = improved$nri.ne, nri_nonevents_se = improved$se.nri.ne,
    auc_difference = as.numeric(difference$estimate[1] - difference$estimate[2]),
    auc_difference_se = diff(as.vector(difference$conf.int)) / 2 / qnorm(.975)))

# --- the Cox model of the study: hospitals as strata, absolute risk at 400 days; competing events end follow-up
cox <- coxph(Surv(time, status == 1) ~ age + smoker + strata(hospital), d, ties = "efron",
             control = coxph.control(eps = 1e-11, iter.max = 100))
harrell <- concordance(cox)
horizon <- 400
risk <- as.vector(1 - exp(-predict(cox, transform(d, time = horizon), type = "expected")))
whole <- summary(survfit(Surv(time, status == 1) ~ 1, d), times = horizon)
observed_above <- summary(survfit(Surv(time, status == 1) ~ 1, d[risk >= .2, ]), times = horizon)
small <- coxph(Surv(time, status == 1) ~ smoker + strata(hospital), d, ties = "efron",
               control = coxph.control(eps = 1e-11, iter.max = 100))
both <- concordance(small, cox)
out$cox <- list(
  call = "cox <- coxph(Surv(time, status == 1) ~ age + smoker + strata(hospital)); concordance(cox); predict(cox, type = 'expected')",
  horizon = horizon, c = as.numeric(harrell$concordance), c_se = sqrt(as.numeric(harrell$var)),
  mean_risk = mean(risk), first_risks = risk[1:5], observed = 1 - whole$surv, observed_se = whole$std.err,
  above = sum(risk >= .2), observed_above = 1 - observed_above$surv,
  lr = 2 * (cox$loglik[2] - small$loglik[2]), rao = as.numeric(coxph(
    Surv(time, status == 1) ~ smoker + age + strata(hospital), d, ties = "efron", init = c(coef(small), 0),
    control = coxph.control(iter.max = 0))$score),
  c_base = as.numeric(both$concordance[1]), c_new = as.numeric(both$concordance[2]),
  c_difference_se = sqrt(as.numeric(c(-1, 1) %*% both$var %*% c(-1, 1))))

write_json(out, arguments[1], digits = I(17), auto_unbox = TRUE, pretty = TRUE)
